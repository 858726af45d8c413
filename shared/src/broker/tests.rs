use std::collections::HashSet;

use tokio::time::timeout;

use super::*;
use crate::id::JobId;
use crate::job::{Answer, IsExistsJob, Job, QueueCommand};
use crate::recipient::Number;
use crate::testing::{TestBroker, job_id, token};

const SOON: Duration = Duration::from_secs(20);

fn shard(number: u16) -> ShardId {
    ShardId::new(number).unwrap()
}

fn pause() -> Job {
    Job::Pause(QueueCommand {
        queue_id: crate::testing::queue_id(),
    })
}

async fn next(consumer: &mut Consumer) -> Delivery {
    timeout(SOON, consumer.next())
        .await
        .expect("a delivery in time")
        .expect("an open broker")
}

async fn publish(broker: &Broker, token: &Token, id: &JobId, job: &Job) {
    broker
        .publisher()
        .publish(Outgoing::job(broker.topology(), token, id, job))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_job_reaches_its_shard_with_all_its_properties() {
    let test = TestBroker::new(2).await;
    let broker = test.broker();
    let (token, id, job) = (token(), job_id(), pause());
    broker.bind_token(&token, shard(1)).await.unwrap();
    broker.bind_token(&token, shard(1)).await.unwrap();
    publish(broker, &token, &id, &job).await;
    let mut consumer = broker.consume(&QueueName::Shard(shard(1)), 20);
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.routing_key, token.as_str());
    assert_eq!(delivery.message_id.as_deref(), Some(id.as_str()));
    assert_eq!(
        Job::parse(delivery.kind.as_deref().unwrap(), &delivery.body),
        Ok(job)
    );
    assert!(delivery.is_usable() && !delivery.redelivered);
    delivery.ack().await.unwrap();
    consumer.close().await;
    assert_eq!(broker.depth(&QueueName::Shard(shard(1))).await.unwrap(), 0);
}

#[tokio::test]
async fn a_job_for_an_unknown_token_goes_to_the_unroutable_ones() {
    let test = TestBroker::new(1).await;
    let broker = test.broker();
    let token = token();
    publish(broker, &token, &job_id(), &pause()).await;
    let mut consumer = broker.consume(&QueueName::Unroutable, 20);
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.routing_key, token.as_str());
    delivery.ack().await.unwrap();
    // After unbinding, a known token is unknown again.
    broker.bind_token(&token, shard(0)).await.unwrap();
    broker.unbind_token(&token, shard(0)).await.unwrap();
    publish(broker, &token, &job_id(), &pause()).await;
    next(&mut consumer).await.ack().await.unwrap();
    consumer.close().await;
}

#[tokio::test]
async fn a_job_that_cant_be_done_is_a_dead_letter_with_its_reason_and_holds_nobody_up() {
    let test = TestBroker::new(1).await;
    let broker = test.broker();
    let (token, bad, good) = (token(), job_id(), job_id());
    broker.bind_token(&token, shard(0)).await.unwrap();
    publish(broker, &token, &bad, &pause()).await;
    publish(broker, &token, &good, &pause()).await;
    let mut consumer = broker.consume(&QueueName::Shard(shard(0)), 20);
    next(&mut consumer)
        .await
        .dead_letter("numbers[3]: must not be empty")
        .await
        .unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message_id.as_deref(), Some(good.as_str()));
    delivery.ack().await.unwrap();
    let mut dead = broker.consume(&QueueName::DeadJobs, 20);
    let letter = next(&mut dead).await;
    assert_eq!(letter.message_id.as_deref(), Some(bad.as_str()));
    assert_eq!(letter.reason.as_deref(), Some("numbers[3]: must not be empty"));
    assert_eq!(letter.kind.as_deref(), Some("pause"));
    letter.ack().await.unwrap();
    consumer.close().await;
    dead.close().await;
}

#[tokio::test]
async fn a_job_that_never_succeeds_ends_as_a_dead_letter_by_itself() {
    let test = TestBroker::new(1).await;
    let broker = test.broker();
    let token = token();
    broker.bind_token(&token, shard(0)).await.unwrap();
    publish(broker, &token, &job_id(), &pause()).await;
    let mut consumer = broker.consume(&QueueName::Shard(shard(0)), 20);
    let mut dead = broker.consume(&QueueName::DeadJobs, 20);
    let mut tries = 0;
    let letter = loop {
        tokio::select! {
            delivery = consumer.next() => {
                tries += 1;
                delivery.unwrap().retry().await.unwrap();
            }
            letter = next(&mut dead) => break letter,
        }
    };
    letter.ack().await.unwrap();
    assert_eq!(tries, topology::JOB_DELIVERY_LIMIT + 1);
    consumer.close().await;
    dead.close().await;
}

#[tokio::test]
async fn many_publishes_are_confirmed_in_parallel_and_keep_their_order() {
    let test = TestBroker::new(1).await;
    let broker = test.broker();
    let (token, publisher) = (token(), broker.publisher());
    broker.bind_token(&token, shard(0)).await.unwrap();
    let ids: Vec<JobId> = (0..2_000)
        .map(|n| JobId::new(&format!("job-{n}")).unwrap())
        .collect();
    let mut confirms = Vec::new();
    for id in &ids[..1_000] {
        confirms.push(
            publisher
                .send(Outgoing::job(broker.topology(), &token, id, &pause()))
                .await
                .unwrap(),
        );
    }
    for confirm in confirms {
        confirm.wait().await.unwrap();
    }
    // From many tasks at once: every one gets its own confirm, whatever the order.
    let mut tasks = tokio::task::JoinSet::new();
    for id in &ids[1_000..] {
        let (publisher, message) = (
            publisher.clone(),
            Outgoing::job(broker.topology(), &token, id, &pause()),
        );
        tasks.spawn(async move { publisher.publish(message).await });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap().unwrap();
    }
    let mut consumer = broker.consume(&QueueName::Shard(shard(0)), 200);
    let mut seen = Vec::new();
    for _ in 0..2_000 {
        let delivery = next(&mut consumer).await;
        seen.push(delivery.message_id.clone().unwrap());
        delivery.ack().await.unwrap();
    }
    let expected: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(seen[..1_000], expected[..1_000]);
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), 2_000);
    consumer.close().await;
}

#[tokio::test]
async fn acks_survive_a_close_and_the_rest_comes_again() {
    let test = TestBroker::new(1).await;
    let broker = test.broker();
    let token = token();
    broker.bind_token(&token, shard(0)).await.unwrap();
    for _ in 0..60 {
        publish(broker, &token, &job_id(), &pause()).await;
    }
    let queue = QueueName::Shard(shard(0));
    let mut consumer = broker.consume(&queue, 100);
    for _ in 0..40 {
        next(&mut consumer).await.ack().await.unwrap();
    }
    consumer.cancel().await;
    // What was prefetched is still handed out, then there is an end.
    let mut left = Vec::new();
    while let Some(delivery) = timeout(SOON, consumer.next()).await.unwrap() {
        left.push(delivery);
    }
    assert_eq!(left.len(), 20);
    for delivery in left.drain(..5) {
        delivery.ack().await.unwrap();
    }
    drop(left);
    consumer.close().await;
    let mut again = broker.consume(&queue, 100);
    for _ in 0..15 {
        let delivery = next(&mut again).await;
        assert!(delivery.redelivered);
        delivery.ack().await.unwrap();
    }
    again.close().await;
    assert_eq!(broker.depth(&queue).await.unwrap(), 0);
}

#[tokio::test]
async fn events_go_to_the_webhooks_queue_and_nobody_has_to_want_them() {
    let test = TestBroker::new(1).await;
    let broker = test.broker();
    let (token, id) = (token(), crate::testing::event_id());
    let event = Outgoing::event(broker.topology(), &token, "send.message:START", id, "{}".into());
    broker.publisher().publish(event).await.unwrap();
    let mut consumer = broker.consume(&QueueName::Webhooks, 20);
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.routing_key, format!("{token}.send.message.START"));
    assert_eq!(delivery.kind.as_deref(), Some("send.message:START"));
    assert_eq!(delivery.message_id, Some(id.to_string()));
    delivery.ack().await.unwrap();
    consumer.close().await;
}

#[tokio::test]
async fn a_call_gets_its_answer_or_times_out() {
    let test = TestBroker::new(1).await;
    let broker = test.broker();
    let (token, rpc) = (token(), broker.rpc());
    broker.bind_token(&token, shard(0)).await.unwrap();
    let job = Job::IsExists(IsExistsJob {
        number: Number::new("5531900000001").unwrap(),
    });
    let (worker, publisher) = (broker.clone(), broker.publisher());
    let answering = tokio::spawn(async move {
        let mut consumer = worker.consume(&QueueName::Shard(shard(0)), 20);
        let delivery = next(&mut consumer).await;
        let to = delivery.reply_address().unwrap();
        let answer = Answer::IsExists {
            exists: true,
            jid: Some("x@s.whatsapp.net".into()),
            lid: None,
        };
        publisher.reply(&to, &answer).await.unwrap();
        delivery.ack().await.unwrap();
        consumer.close().await;
    });
    let answer = rpc.call(&token, &job_id(), &job, SOON).await.unwrap();
    assert!(matches!(answer, Answer::IsExists { exists: true, .. }));
    answering.await.unwrap();
    let late = rpc
        .call(&token, &job_id(), &job, Duration::from_millis(300))
        .await;
    assert_eq!(late, Err(CallError::Timeout));
}

#[tokio::test]
async fn declaring_again_changes_nothing_and_other_arguments_are_refused() {
    let test = TestBroker::new(2).await;
    let second = crate::testing::connect(test.config()).await.unwrap();
    assert!(second.is_ready());
    second.close().await;
    assert!(!second.is_ready());
    // The prefix taken by something else: a queue of another kind.
    let foreign = TestBroker::new(1).await;
    let name = foreign.broker().topology().queue(&QueueName::Webhooks);
    let declare = async |channel: &lapin::Channel| {
        channel
            .queue_delete(name.as_str().into(), Default::default())
            .await?;
        channel
            .queue_declare(name.as_str().into(), Default::default(), Default::default())
            .await
    };
    foreign.broker().bindings.request(declare).await.unwrap();
    let refused = crate::testing::connect(foreign.config()).await.unwrap_err();
    assert!(matches!(refused, BrokerError::Refused(_)), "{refused}");
    let clear = async |channel: &lapin::Channel| {
        channel
            .queue_delete(name.as_str().into(), Default::default())
            .await
    };
    foreign.broker().bindings.request(clear).await.unwrap();
}

#[tokio::test]
async fn a_wrong_url_is_told_apart_from_a_missing_broker() {
    let mut config = crate::config::Amqp {
        url: crate::config::Secret::new("nonsense"),
        prefix: "x".into(),
        shards: 1,
    };
    assert!(matches!(
        crate::testing::connect(&config).await,
        Err(BrokerError::Url(_))
    ));
    let mut url = url::Url::parse(&crate::testing::service_url("AMQP_URL")).unwrap();
    url.set_password(Some("wrong")).unwrap();
    config.url = crate::config::Secret::new(url);
    let error = crate::testing::connect(&config).await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused(_)), "{error}");
}

#[tokio::test]
async fn too_large_messages_are_refused_before_they_are_published() {
    let test = TestBroker::new(1).await;
    let publisher = test.broker().publisher();
    let body = vec![0; crate::job::BODY_MAX_BYTES + 1];
    let message = Outgoing {
        exchange: test.broker().topology().events(),
        body: body.into(),
        ..Outgoing::default()
    };
    assert!(matches!(
        publisher.publish(message).await,
        Err(PublishError::TooLarge(_))
    ));
    let key = "x".repeat(256);
    let message = Outgoing {
        exchange: test.broker().topology().events(),
        key,
        ..Outgoing::default()
    };
    assert!(matches!(
        publisher.publish(message).await,
        Err(PublishError::TooLarge(_))
    ));
    let nowhere = Outgoing {
        key: "no-such-queue".into(),
        mandatory: true,
        ..Outgoing::default()
    };
    assert_eq!(publisher.publish(nowhere).await, Err(PublishError::Unroutable));
}

mod reconnect {
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::JoinSet;

    use super::*;

    /// A hop before the broker whose connections can be cut.
    struct Hop {
        url: String,
        cut: tokio::sync::watch::Sender<u64>,
    }

    impl Hop {
        async fn new() -> Self {
            let url = crate::testing::service_url("AMQP_URL");
            let authority = url
                .split('@')
                .nth(1)
                .unwrap()
                .split('/')
                .next()
                .unwrap()
                .to_owned();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let hop = url.replace(&authority, &listener.local_addr().unwrap().to_string());
            let (cut, watch) = tokio::sync::watch::channel(0);
            tokio::spawn(async move {
                let mut connections = JoinSet::new();
                loop {
                    let (mut near, _) = listener.accept().await.unwrap();
                    let (authority, mut watch) = (authority.clone(), watch.clone());
                    connections.spawn(async move {
                        watch.mark_unchanged();
                        let mut far = TcpStream::connect(authority).await.unwrap();
                        tokio::select! {
                            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                            _ = watch.changed() => {}
                        }
                    });
                }
            });
            Self { url: hop, cut }
        }

        fn cut(&self) {
            self.cut.send_modify(|times| *times += 1);
        }
    }

    #[tokio::test]
    async fn publishers_and_consumers_come_back_after_lost_connections() {
        let test = TestBroker::new(1).await;
        let token = token();
        test.broker().bind_token(&token, shard(0)).await.unwrap();
        let hop = Hop::new().await;
        let mut config = test.config().clone();
        config.url = crate::config::Secret::new(hop.url.as_str());
        let broker = crate::testing::connect(&config).await.unwrap();
        let (publisher, mut consumer) = (
            broker.publisher(),
            broker.consume(&QueueName::Shard(shard(0)), 20),
        );
        let send = async |n: u32| {
            let id = JobId::new(&format!("job-{n}")).unwrap();
            // As callers do: again under the same id until confirmed.
            let publish = async || {
                publisher
                    .publish(Outgoing::job(broker.topology(), &token, &id, &pause()))
                    .await
            };
            while publish().await.is_err() {}
        };
        let mut seen = HashSet::new();
        for round in 0..3 {
            timeout(SOON, send(round * 2)).await.unwrap();
            let held = next(&mut consumer).await;
            hop.cut();
            while held.is_usable() {
                tokio::task::yield_now().await;
            }
            assert_eq!(
                held.ack().await,
                Err(AnswerError::Gone),
                "an ack on a dead channel is no success"
            );
            timeout(SOON, send(round * 2 + 1)).await.unwrap();
            // The unanswered one comes again, and the new one after it.
            while !(seen.contains(&format!("job-{}", round * 2))
                && seen.contains(&format!("job-{}", round * 2 + 1)))
            {
                let delivery = next(&mut consumer).await;
                seen.insert(delivery.message_id.clone().unwrap());
                delivery.ack().await.unwrap();
            }
        }
        assert_eq!(seen.len(), 6);
        consumer.close().await;
        broker.close().await;
    }
}

#[tokio::test]
async fn a_late_word_of_an_old_channel_takes_nothing_from_the_new_one() {
    let test = TestBroker::new(1).await;
    let channel = RecoveringChannel::confirming(test.broker().publishing.clone());
    channel.get().await.unwrap();
    let first = channel.opened();
    channel.discard(first);
    channel.get().await.unwrap();
    let second = channel.opened();
    assert_ne!(first, second);
    channel.discard(first);
    channel.get().await.unwrap();
    assert_eq!(channel.opened(), second, "it is there still");
}

#[tokio::test]
async fn a_queue_that_was_made_without_limits_stays_as_it_is() {
    let test = TestBroker::new(1).await;
    let broker = test.broker();
    let name = broker.topology().queue(&QueueName::Webhooks);
    let older = broker.topology().arguments_without_limits(&QueueName::Webhooks);
    let options = lapin::options::QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let make = async |channel: &lapin::Channel| {
        channel
            .queue_delete(name.as_str().into(), Default::default())
            .await?;
        channel.queue_declare(name.as_str().into(), options, older).await
    };
    broker.bindings.request(make).await.unwrap();
    let upgraded = crate::testing::connect(test.config()).await.unwrap();
    upgraded.collect_for_webhooks().await.unwrap();
    assert!(upgraded.is_ready());
    assert_eq!(upgraded.depth(&QueueName::Webhooks).await.unwrap(), 0);
    upgraded.close().await;
}

#[tokio::test]
async fn events_are_collected_for_webhooks_only_once_somebody_wants_them() {
    let test = TestBroker::new(1).await;
    let broker = test.broker();
    let name = broker.topology().queue(&QueueName::Webhooks);
    let events = broker.topology().events();
    let unbind = async |channel: &lapin::Channel| {
        channel
            .queue_unbind(
                name.as_str().into(),
                events.as_str().into(),
                "#".into(),
                Default::default(),
            )
            .await
    };
    broker.bindings.request(unbind).await.unwrap();
    let another = crate::testing::connect(test.config()).await.unwrap();
    let tell = async |broker: &Broker| {
        let event = Outgoing::event(
            broker.topology(),
            &token(),
            "new.message",
            crate::testing::event_id(),
            "{}".into(),
        );
        broker.publisher().publish(event).await.unwrap();
        broker.depth(&QueueName::Webhooks).await.unwrap()
    };
    assert_eq!(tell(&another).await, 0);
    another.collect_for_webhooks().await.unwrap();
    assert_eq!(tell(&another).await, 1);
    another.close().await;
}

#[tokio::test]
async fn a_job_that_is_put_back_comes_again_behind_the_others_under_its_turn() {
    let test = TestBroker::new(1).await;
    let broker = test.broker();
    let token = token();
    broker.bind_token(&token, shard(0)).await.unwrap();
    let (first, second) = (job_id(), job_id());
    for id in [&first, &second] {
        publish(broker, &token, id, &pause()).await;
    }
    let mut consumer = broker.consume(&QueueName::Shard(shard(0)), 20);
    let delivery = next(&mut consumer).await;
    assert_eq!(
        (delivery.message_id.as_deref(), &delivery.turn),
        (Some(first.as_str()), &None)
    );
    let (body, kind) = (delivery.body.clone(), delivery.kind.clone());
    delivery.later("t-1").await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.message_id.as_deref(), Some(second.as_str()));
    delivery.ack().await.unwrap();
    // As often as need be: it is never a dead letter for that.
    for turn in ["t-1", "t-2"] {
        let delivery = next(&mut consumer).await;
        assert_eq!(
            (&delivery.body, &delivery.kind, delivery.redelivered),
            (&body, &kind, false)
        );
        assert_eq!(delivery.turn.as_deref(), Some(turn));
        assert_eq!(delivery.routing_key, token.as_str());
        match turn {
            "t-1" => delivery.later("t-2").await.unwrap(),
            _ => delivery.ack().await.unwrap(),
        }
    }
    consumer.close().await;
    assert_eq!(broker.depth(&QueueName::Later).await.unwrap(), 0);
}
