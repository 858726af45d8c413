//! What the world does for the control API.

use compact_str::CompactString;
use tokio::sync::oneshot;
use whatsapp::binary::Node;

use super::account::{Account, MAX_DEVICE};
use super::command::{Answer, Command, NewsBy, PendingReport, SessionInfo, Speaker, TokenChange};
use super::pairing::REFS;
use super::properties::PropertyChange;
use super::saying::{Words, answer_with};
use super::stanza::ib;
use super::{ConnState, World};
use crate::crowd::{Job, SendText};
use crate::fault::{Fault, On};
use crate::number::{Addressing, DeviceAddr, Number};
use crate::population::{Manners, Population, PopulationError, Run};
use crate::refusal::Refusal;
use crate::sharing::Sharing;

/// Most accounts.
const MAX_ACCOUNTS: usize = 100_000;
/// Most companions of one contact.
const MAX_COMPANIONS: usize = 32;

impl World {
    /// Whoever asked may have gone; then nobody hears the answer.
    #[expect(
        clippy::too_many_lines,
        reason = "a line per command, and the compiler sees that none lacks"
    )]
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::Phone(number, name, answer) => drop(answer.send(self.make_phone(number, name))),
            Command::Addressing(number, rules, answer) => {
                drop(answer.send(self.set_addressing(number, rules)));
            }
            Command::RegisterAnew(number, answer) => drop(answer.send(self.register_anew(number))),
            Command::RenewLid(number, answer) => drop(answer.send(self.renew_lid(number))),
            Command::Spell(number, other, answer) => drop(answer.send(self.spell(number, other))),
            Command::Scan(number, qr, refresh, answer) => {
                let known = self.require_phone(number);
                drop(answer.send(known.and_then(|()| self.scan(number, &qr, refresh.as_deref()))));
            }
            Command::Codes(count, answer) => {
                let fits = (1..=REFS).contains(&count);
                if fits {
                    self.refs = count;
                }
                let problem = || Refusal::bad("count", format!("must be 1 to {REFS}"));
                drop(answer.send(fits.then_some(()).ok_or_else(problem)));
            }
            Command::Refresh(qr, child, answer) => drop(answer.send(self.refresh(&qr, &child))),
            Command::Guard(number, rules, answer) => {
                drop(answer.send(self.guard(number, rules.map(|rules| *rules))));
            }
            Command::Sign(number, ask, answer) => drop(answer.send(self.sign(number, &ask))),
            Command::Passkey(number, answer) => drop(answer.send(self.passkey_report(number))),
            Command::LinkHello(number, answer) => match self.require_phone(number) {
                Ok(()) => self.await_hello(number, answer),
                Err(refusal) => drop(answer.send(Err(refusal))),
            },
            Command::PrimaryHello(conn, wrapped, answer) => drop(self.primary_hello(conn, &wrapped, answer)),
            Command::LinkWith(conn, secret, answer) => drop(answer.send(self.link_with(conn, &secret))),
            Command::Share(number, sharing, answer) => drop(answer.send(self.set_sharing(number, *sharing))),
            Command::Rename(number, name, by, answer) => {
                let known = self.require_phone(number);
                drop(answer.send(known.map(|()| match by {
                    NewsBy::AppState => self.rename(number, name),
                    NewsBy::AccountSync => self.tell_name(number, name),
                })));
            }
            Command::State(number, change, spoil, answer) => {
                let known = self.require_phone(number);
                drop(answer.send(known.map(|()| self.change_state(number, change, spoil))));
            }
            Command::ShowState(number, answer) => {
                let known = self.require_phone(number);
                drop(answer.send(known.map(|()| self.show_state(number))));
            }
            Command::Privacy(number, name, value, answer) => {
                let known = self.require_phone(number);
                drop(answer.send(known.and_then(|()| {
                    let is_known = self.set_privacy(number, &name, &value, None);
                    is_known.then_some(()).ok_or_else(|| Refusal::unknown("name"))
                })));
            }
            Command::File(path, answer) => drop(answer.send(self.files.fetch(&path))),
            Command::Upload(file, answer) => {
                let taken = self.files.upload(file, self.clock.unix_seconds());
                match &taken {
                    Ok(_) => self.audit.count.uploads += 1,
                    Err(_) => self.audit.count.uploads_refused += 1,
                }
                drop(answer.send(taken));
            }
            Command::Media(change, answer) => {
                self.files.change(change);
                // Whoever asked may have gone.
                let _ = answer.send(());
            }
            Command::Person(contact, news, answer) => {
                drop(answer.send(self.change_person(contact, &news)));
            }
            Command::Call(contact, new, answer) => drop(answer.send(self.call(contact, &new))),
            Command::TurnCall(id, turn, answer) => drop(answer.send(self.turn_call(&id, turn))),
            Command::ShowCall(id, answer) => drop(answer.send(self.show_call(&id))),
            Command::Writes(contact, to, writing, answer) => {
                drop(answer.send(self.writes(contact, to, writing)))
            }
            Command::Unlink(number, device, answer) => drop(answer.send(self.unlink(number, device))),
            Command::Tokens(number, change, answer) => {
                drop(answer.send(self.change_tokens(number, change)));
            }
            Command::Labels(labels, answer) => {
                self.labels = labels;
                // Whoever asked may have gone.
                let _ = answer.send(());
            }
            Command::Properties(number, change, answer) => {
                drop(answer.send(self.set_properties(number, change)));
            }
            Command::Contacts(prefix, count, manners, answer) => {
                drop(answer.send(self.make_contacts(&prefix, count, manners)));
            }
            Command::ContactDevice(number, answer) => drop(answer.send(self.add_companion(number))),
            Command::Special(phone, special, answer) => {
                let known = self.require_phone(phone);
                drop(answer.send(known.and_then(|()| self.send_special(phone, *special))));
            }
            Command::MakeGroup(new, answer) => drop(answer.send(self.make_group(&new))),
            Command::ChangeGroup(jid, change, answer) => drop(answer.send(self.change_group(&jid, &change))),
            Command::ShowGroup(jid, answer) => drop(answer.send(self.show_group(&jid))),
            Command::GroupAdd(number, lets, answer) => drop(answer.send(self.set_group_add(number, lets))),
            Command::Post(speaker, audience, said, answer) => self.post(speaker, audience, said, answer),
            Command::Receipt(contact, wish, answer) => drop(answer.send(self.say_receipt(contact, wish))),
            Command::SendFile(speaker, to, file, answer) => self.send_file(speaker, to, *file, answer),
            Command::Inbox(speaker, device, answer) => {
                drop(answer.send(self.ask_shard(speaker, |number, answer| {
                    Job::Inbox(DeviceAddr::new(number, device), answer)
                })));
            }
            Command::Outbox(speaker, answer) => {
                drop(answer.send(self.ask_shard(speaker, |number, answer| {
                    Job::Outbox(DeviceAddr::phone(number), answer)
                })));
            }
            Command::Restrict(number, restrict, answer) => drop(answer.send(self.restrict(number, restrict))),
            Command::Cap(number, cap, answer) => drop(answer.send(self.cap(number, cap))),
            Command::RateLimit(number, seconds, answer) => {
                drop(answer.send(self.rate_limit(number, seconds)));
            }
            Command::AddFault(fault, answer) => drop(answer.send(self.add_fault(*fault))),
            Command::EndFaults(id, answer) => drop(answer.send(self.end_faults(id))),
            Command::Faults(answer) => drop(answer.send(self.faults.active().to_vec())),
            Command::Version(change, answer) => drop(answer.send(self.versions.change(change))),
            Command::Page(answer) => {
                drop(answer.send(self.versions.page(self.clock.unix_seconds())));
            }
            Command::Expiration(at, answer) => {
                // Whoever asked may have gone.
                let _ = answer.send(self.announce_expiration(at.as_deref()));
            }
            Command::Sessions(answer) => drop(answer.send(self.sessions())),
            Command::MarkAudit(answer) => {
                self.audit.mark();
                drop(answer.send(Ok(())));
            }
            Command::Audit(answer) => {
                let half = self.audit.half();
                drop(answer.send(PendingReport {
                    half,
                    tallies: self.crowd.tally(),
                }));
            }
        }
    }

    /// Asks the shard of a speaker, which answers by itself.
    fn ask_shard<T>(
        &mut self,
        speaker: Speaker,
        job: impl FnOnce(Number, oneshot::Sender<T>) -> Job,
    ) -> Result<oneshot::Receiver<T>, Refusal> {
        let number = self.speaker(speaker)?;
        let (tell, told) = oneshot::channel();
        self.crowd.give(number, job(number, tell));
        Ok(told)
    }

    fn require_phone(&self, number: Number) -> Result<(), Refusal> {
        if self.accounts.contains_key(&number) {
            Ok(())
        } else {
            Err(Refusal::unknown("number"))
        }
    }

    fn set_sharing(&mut self, number: Number, sharing: Sharing) -> Result<(), Refusal> {
        let now = self.clock.unix_seconds();
        let account = self
            .accounts
            .get_mut(&number)
            .ok_or_else(|| Refusal::unknown("number"))?;
        account.sharing = sharing;
        if let Some(past) = &mut account.sharing.past {
            past.newest.get_or_insert(now);
        }
        Ok(())
    }

    pub(super) fn speaker(&self, speaker: Speaker) -> Result<Number, Refusal> {
        let (number, known) = match speaker {
            Speaker::Phone(number) => (number, self.accounts.contains_key(&number)),
            Speaker::Contact(number) => (number, self.population.contains(number)),
        };
        if known {
            Ok(number)
        } else {
            Err(Refusal::unknown("number"))
        }
    }

    fn make_phone(&mut self, number: Number, name: Option<String>) -> Result<String, Refusal> {
        if self.population.contains(number) {
            return Err(Refusal::conflict("number", "is a contact's"));
        }
        if let Some(account) = self.accounts.get_mut(&number) {
            if let Some(name) = name {
                account.name = name;
            }
            return Ok(account.name.clone());
        }
        if self.accounts.len() >= MAX_ACCOUNTS {
            return Err(Refusal::conflict("number", "there are too many phones"));
        }
        let name = name.unwrap_or_else(|| format!("Phone {number}"));
        self.accounts
            .insert(number, Account::new(name.clone(), self.clock.unix_seconds()));
        Ok(name)
    }

    /// Answers the salt that holds from now on.
    fn change_tokens(&mut self, number: Number, change: TokenChange) -> Result<Option<[u8; 32]>, Refusal> {
        self.require_phone(number)?;
        if let Some(salt) = change.salt {
            self.change_salt(number, salt);
        }
        if let (Some(account), Some(proofs)) = (self.accounts.get_mut(&number), change.proofs) {
            account.proofs = proofs;
        }
        Ok(self.token_salt(number))
    }

    fn set_properties(&mut self, number: Number, change: PropertyChange) -> Result<(), Refusal> {
        let account = self.accounts.get_mut(&number);
        let account = account.ok_or_else(|| Refusal::unknown("number"))?;
        if account.properties.change(change) {
            Ok(())
        } else {
            Err(Refusal::conflict("values", "are too many"))
        }
    }

    fn make_contacts(&mut self, prefix: &str, count: u64, manners: Manners) -> Result<Run, Refusal> {
        let refusal = |error: PopulationError| match error {
            PopulationError::Count => Refusal::bad("count", error.to_string()),
            PopulationError::Prefix => Refusal::bad("prefix", error.to_string()),
            PopulationError::Overlap => Refusal::conflict("prefix", error.to_string()),
        };
        let run = Population::plan(prefix, count, manners).map_err(refusal)?;
        let numbers = run.first..run.first + run.count;
        if self.accounts.keys().any(|number| numbers.contains(&number.get())) {
            return Err(Refusal::conflict("prefix", "a phone has one of these numbers"));
        }
        self.population.add(run.clone()).map_err(refusal)?;
        Ok(run)
    }

    fn add_companion(&mut self, number: Number) -> Result<u16, Refusal> {
        self.speaker(Speaker::Contact(number))?;
        let contact = self.contacts.entry(number).or_default();
        if contact.companions.len() >= MAX_COMPANIONS {
            return Err(Refusal::conflict("number", "has too many devices"));
        }
        let index = contact.companions.last().map_or(1, |(_, index)| index + 1);
        let device = contact
            .companions
            .last()
            .map_or(1, |(device, _)| device + 1)
            .min(MAX_DEVICE);
        contact.companions.push((device, index));
        self.notify_devices(DeviceAddr::new(number, device), index, "add");
        Ok(device)
    }

    fn unlink(&mut self, number: Number, device: Option<u16>) -> Result<usize, Refusal> {
        self.require_phone(number)?;
        let all: Vec<_> = self
            .linked_devices(number)
            .filter(|who| device.is_none_or(|id| id == who.device))
            .collect();
        if all.is_empty() && device.is_some() {
            return Err(Refusal::unknown("device"));
        }
        Ok(all.into_iter().filter(|who| self.remove_device(*who)).count())
    }

    pub(super) fn say(&mut self, speaker: Speaker, to: Number, words: Words, answer: Answer<CompactString>) {
        let from = match self.speaker(speaker) {
            Ok(from) => from,
            Err(refusal) => return drop(answer.send(Err(refusal))),
        };
        let Some(to_devices) = self.devices_of(to) else {
            return drop(answer.send(Err(Refusal::bad("to", "is not on WhatsApp"))));
        };
        let addressing = match (self.population.manners(from), self.accounts.get(&from)) {
            (Some(manners), _) => manners.addressing,
            (None, Some(account)) => account.phone_called,
            (None, None) => Addressing::Pn,
        };
        let (id_told, id) = oneshot::channel();
        let send = SendText {
            from: DeviceAddr::phone(from),
            to,
            to_devices,
            own_devices: self.devices_of(from).unwrap_or_default(),
            addressing,
            text: words.text,
            message: words.message,
            vote: words.vote,
            answer: Some(id_told),
        };
        self.crowd.give(from, Job::Send(Box::new(send)));
        answer_with(id, answer);
    }

    fn add_fault(&mut self, fault: Fault) -> Result<(Option<u64>, usize), Refusal> {
        let is_now = fault.kind.ends() && fault.on == On::Now;
        let id = self.faults.add(fault.clone())?;
        if !is_now {
            return Ok((Some(id), 0));
        }
        self.faults.remove(id);
        Ok((None, self.strike_now(&fault)))
    }

    fn end_faults(&mut self, id: Option<u64>) -> Result<(), Refusal> {
        match id {
            None => self.faults.clear(),
            Some(id) if !self.faults.remove(id) => return Err(Refusal::unknown("id")),
            Some(_) => {}
        }
        Ok(())
    }

    /// Tells all sessions that are online from when on their version will be refused (without a time: that it will not
    /// be). Answers how many there were.
    fn announce_expiration(&mut self, at: Option<&str>) -> usize {
        let online = self.conns.iter().filter_map(|(conn, open)| match open.state {
            ConnState::Online(_) => Some(*conn),
            ConnState::Pairing(_) => None,
        });
        let told: Vec<_> = online.collect();
        let expiration = Node::new("client_expiration").attr_opt("t", at.map(str::to_owned));
        for conn in &told {
            self.write(*conn, &ib(expiration.clone()));
        }
        told.len()
    }

    fn sessions(&self) -> Vec<SessionInfo> {
        let mut sessions: Vec<_> = self
            .accounts
            .iter()
            .flat_map(|(number, account)| {
                account
                    .devices
                    .iter()
                    .map(move |(id, device)| (*number, account, *id, device))
            })
            .map(|(number, account, id, device)| {
                let who = DeviceAddr::new(number, id);
                SessionInfo {
                    number: number.to_string(),
                    name: account.name.clone(),
                    device: id,
                    jid: self.seed.jid(who, Addressing::Pn).to_string(),
                    lid: self.seed.jid(who, Addressing::Lid).to_string(),
                    online: device.conn.is_some(),
                    active: device.is_active,
                    available: device.is_available,
                    presence_name: device.named.clone(),
                    one_time_prekeys: device.one_time.len(),
                    pending: device.pending.len(),
                    logins: device.logins,
                }
            })
            .collect();
        sessions.sort_by(|a, b| (&a.number, a.device).cmp(&(&b.number, b.device)));
        sessions
    }
}
