//! The handle to a running simulator: what tests do to the simulated world and ask of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use compact_str::CompactString;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use whatsapp::pairing::code::PairingCode;
use whatsapp::server::code::Primary;

use crate::audit::Report;
use crate::crowd::{Received, Sent};
use crate::fault::{Active, Fault};
use crate::number::{DeviceAddr, Number};
use crate::passkey::{self, Rules, authenticator::Ask};
use crate::persona::Persona;
use crate::population::{Manners, Run};
use crate::refusal::Refusal;
use crate::seed::Seed;
use crate::sharing::Sharing;
use crate::world::{
    AccountAddressing, Audience, CallShown, CallTurn, Cap, CollectionShown, Command, GroupChange, GroupShown,
    Labels, LinkOutcome, MediaChange, NewCall, NewFile, NewGroup, NewsBy, Page, PersonNews, PhoneChange,
    PropertyChange, ReceiptWish, Restrict, Said, Scanned, SentFile, SessionInfo, Speaker, Special, Spoil,
    TokenChange, VersionChange, VersionInfo, Writing,
};

/// How long a phone into which a code was typed waits for a companion that has asked for one.
const LINK_HELLO_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a phone waits for the companion's answer to a code.
const LINK_CODE_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to a running simulator. What the control API can do, it can do.
#[derive(Clone)]
pub struct Handle {
    /// Where clients connect.
    pub ws_url: String,
    /// Where the control API is.
    pub control_url: String,
    /// The key that the certificates lead to.
    pub root_public_key: [u8; 32],
    /// The same as text.
    pub root_public_key_hex: String,
    pub(crate) seed: Seed,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) guard: Arc<Guard>,
}

/// Stops everything when the last handle is gone.
pub(crate) struct Guard {
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Handle {
    /// A handle that does not keep the simulator alive.
    pub(crate) fn without_guard(&self) -> Self {
        let guard = Guard {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Self {
            guard: Arc::new(guard),
            ..self.clone()
        }
    }

    /// Stops and waits until all tasks have ended.
    pub async fn shutdown(self) {
        self.guard.stop.cancel();
        self.guard.tasks.close();
        self.guard.tasks.wait().await;
    }

    /// Makes a phone with an account, or renames it.
    ///
    /// # Errors
    /// If the number is a contact's.
    pub async fn create_phone(&self, number: Number, name: impl Into<String>) -> Result<(), Refusal> {
        self.make_phone(number, Some(name.into())).await.map(drop)
    }

    /// Makes a phone with an account, or renames it. Without a name a new one gets one and another keeps its own.
    /// Returns its name.
    ///
    /// # Errors
    /// If the number is a contact's.
    pub async fn make_phone(&self, number: Number, name: Option<String>) -> Result<String, Refusal> {
        self.ask(|answer| Command::Phone(number, name, answer)).await?
    }

    /// Says how the account of a phone addresses its chats. Without this it is migrated to hidden ids.
    ///
    /// # Errors
    /// If there is no such phone.
    pub async fn set_addressing(&self, number: Number, rules: AccountAddressing) -> Result<(), Refusal> {
        self.ask(|answer| Command::Addressing(number, rules, answer))
            .await?
    }

    /// Gives a contact another hidden id; the old one still leads to it. Returns the new one.
    ///
    /// # Errors
    /// If there is no such contact.
    pub async fn renew_lid(&self, number: Number) -> Result<String, Refusal> {
        self.ask(|answer| Command::RenewLid(number, answer)).await?
    }

    /// A contact registers anew: other keys, no companions, and all who know it are told.
    ///
    /// # Errors
    /// If there is no such contact.
    pub async fn register_anew(&self, number: Number) -> Result<(), Refusal> {
        self.ask(|answer| Command::RegisterAnew(number, answer)).await?
    }

    /// A contact is found under another number too.
    ///
    /// # Errors
    /// If there is no such contact, or somebody has the other number.
    pub async fn spell(&self, number: Number, other: Number) -> Result<(), Refusal> {
        self.ask(|answer| Command::Spell(number, other, answer)).await?
    }

    /// What the phone shares with companions that are linked from now on.
    ///
    /// # Errors
    /// If nobody has the number.
    pub async fn share(&self, number: Number, sharing: Sharing) -> Result<(), Refusal> {
        self.ask(|answer| Command::Share(number, Box::new(sharing), answer))
            .await?
    }

    /// The account gets another name; its companions hear of it.
    ///
    /// # Errors
    /// If nobody has the number.
    pub async fn rename(&self, number: Number, name: impl Into<String>, by: NewsBy) -> Result<(), Refusal> {
        self.ask(|answer| Command::Rename(number, name.into(), by, answer))
            .await?
    }

    /// The phone does something to a chat, a contact or a label; its companions hear of it.
    ///
    /// # Errors
    /// If there is no such phone.
    pub async fn change_state(
        &self,
        number: Number,
        change: PhoneChange,
        spoil: Option<Spoil>,
    ) -> Result<(), Refusal> {
        self.ask(|answer| Command::State(number, change, spoil, answer))
            .await?
    }

    /// What is in the app state of an account, by the names of its collections.
    ///
    /// # Errors
    /// If there is no such phone.
    pub async fn app_state(&self, number: Number) -> Result<BTreeMap<String, CollectionShown>, Refusal> {
        self.ask(|answer| Command::ShowState(number, answer)).await?
    }

    /// The account lets others know something else of it; its companions hear of it.
    ///
    /// # Errors
    /// If nobody has the number, or there is no such setting.
    pub async fn set_privacy(&self, number: Number, name: &str, value: &str) -> Result<(), Refusal> {
        let (name, value) = (name.to_owned(), value.to_owned());
        self.ask(|answer| Command::Privacy(number, name, value, answer))
            .await?
    }

    /// A file of the media host.
    ///
    /// # Errors
    /// If there is none, or files are refused, as was wished.
    pub async fn file(&self, path: impl Into<String>) -> Result<Bytes, Refusal> {
        self.ask(|answer| Command::File(path.into(), answer)).await?
    }

    /// A client uploads a file to the media host; its path and query there.
    ///
    /// # Errors
    /// If it is not what its address says, shows nothing that counts, or is refused as was wished.
    pub async fn upload(&self, file: NewFile) -> Result<String, Refusal> {
        self.ask(|answer| Command::Upload(file, answer)).await?
    }

    /// Changes the media host: what it refuses, and which hosts clients are told of.
    ///
    /// # Errors
    /// If the simulator is gone.
    pub async fn change_media(&self, change: MediaChange) -> Result<(), Refusal> {
        self.ask(|answer| Command::Media(change, answer)).await
    }

    /// Whether how messages are labelled is judged, as real servers do, or every one taken as it is.
    ///
    /// # Errors
    /// If the simulator is gone.
    pub async fn set_labels(&self, labels: Labels) -> Result<(), Refusal> {
        self.ask(|answer| Command::Labels(labels, answer)).await
    }

    /// The phone scans a QR code.
    ///
    /// # Errors
    /// If the code is not valid or its connection is gone.
    pub async fn scan(&self, number: Number, qr: impl Into<String>) -> Result<Scanned, Refusal> {
        self.ask(|answer| Command::Scan(number, qr.into(), None, answer))
            .await?
    }

    /// The phone scans a QR code, and the server retires it by a notification with this child instead of linking.
    ///
    /// # Errors
    /// If the code is not valid or its connection is gone.
    pub async fn scan_and_refresh(
        &self,
        number: Number,
        qr: impl Into<String>,
        child: impl Into<String>,
    ) -> Result<Scanned, Refusal> {
        self.ask(|answer| Command::Scan(number, qr.into(), Some(child.into()), answer))
            .await?
    }

    /// The server retires the QR code that a companion shows, by a notification with this child.
    ///
    /// # Errors
    /// If the code is not valid or its connection is gone.
    pub async fn refresh(&self, qr: impl Into<String>, child: impl Into<String>) -> Result<(), Refusal> {
        self.ask(|answer| Command::Refresh(qr.into(), child.into(), answer))
            .await?
    }

    /// A contact changes something of itself; all who know it are told.
    ///
    /// # Errors
    /// If there is no such contact, or a text is too long.
    pub async fn change_person(&self, contact: Number, news: PersonNews) -> Result<(), Refusal> {
        self.ask(|answer| Command::Person(contact, Box::new(news), answer))
            .await?
    }

    /// A contact calls a phone. Returns the call's id.
    ///
    /// # Errors
    /// If there is no such contact or phone.
    pub async fn call(&self, contact: Number, new: NewCall) -> Result<String, Refusal> {
        self.ask(|answer| Command::Call(contact, new, answer)).await?
    }

    /// A call goes on.
    ///
    /// # Errors
    /// If there is no such call.
    pub async fn turn_call(&self, id: &str, turn: CallTurn) -> Result<(), Refusal> {
        self.ask(|answer| Command::TurnCall(id.to_owned(), turn, answer))
            .await?
    }

    /// What became of a call.
    ///
    /// # Errors
    /// If there is no such call.
    pub async fn show_call(&self, id: &str) -> Result<CallShown, Refusal> {
        self.ask(|answer| Command::ShowCall(id.to_owned(), answer))
            .await?
    }

    /// How many QR codes clients get that are to be linked from now on: 1 to 6.
    ///
    /// # Errors
    /// If it is another number.
    pub async fn set_codes(&self, count: usize) -> Result<(), Refusal> {
        self.ask(|answer| Command::Codes(count, answer)).await?
    }

    /// From now on devices link with the phone only with its passkey, as the rules say; or without again.
    ///
    /// # Errors
    /// If there is no such phone, or a rule can't be followed.
    pub async fn guard(&self, number: Number, rules: Option<Rules>) -> Result<(), Refusal> {
        self.ask(|answer| Command::Guard(number, rules.map(Box::new), answer))
            .await?
    }

    /// Signs with the phone's passkey, as a browser next to it does.
    ///
    /// # Errors
    /// If the phone has none, or the options hold no challenge.
    pub async fn sign(&self, number: Number, ask: Ask) -> Result<Value, Refusal> {
        self.ask(|answer| Command::Sign(number, Box::new(ask), answer))
            .await?
    }

    /// What server and phone saw of the last exchange with the phone's passkey.
    ///
    /// # Errors
    /// If the phone has none.
    pub async fn passkey(&self, number: Number) -> Result<passkey::Report, Refusal> {
        self.ask(|answer| Command::Passkey(number, answer)).await?
    }

    /// A code is typed into the phone. Returns when the companion has answered.
    ///
    /// # Errors
    /// If nobody asks for a code within two seconds, the code is wrong, or the companion does not answer within ten.
    pub async fn link_code(&self, number: Number, code: &str) -> Result<Scanned, Refusal> {
        let code: PairingCode = code
            .trim()
            .parse()
            .map_err(|_| Refusal::bad("code", "is no pairing code"))?;
        let asked = self.ask(|answer| Command::LinkHello(number, answer));
        let hello = tokio::time::timeout(LINK_HELLO_TIMEOUT, asked)
            .await
            .map_err(|_| Refusal::conflict("code", "no companion has asked for one"))???;
        let random = self.seed.number_of("link code", hello.conn);
        let wrapped = hello.wrapped;
        // Stretching the code takes a while; the world goes on meanwhile.
        let started = tokio::task::spawn_blocking(move || {
            Primary::start(&code, &wrapped, &mut StdRng::seed_from_u64(random))
        });
        let (primary, half) = started
            .await
            .map_err(|_| Refusal::conflict("code", "the simulator is stopping"))?
            .map_err(|_| Refusal::conflict("code", "the companion's hello is malformed"))?;
        let (tell, told) = oneshot::channel();
        self.tell(Command::PrimaryHello(hello.conn, half.to_vec(), tell))
            .await?;
        let outcome = tokio::time::timeout(LINK_CODE_TIMEOUT, told).await;
        let (bundle, companion) = match outcome {
            Ok(Ok(LinkOutcome::Finished { bundle, companion })) => (bundle, companion),
            Ok(Ok(LinkOutcome::Passkey)) => return Ok(Scanned::Asked { asked: "passkey" }),
            _ => return Err(Refusal::conflict("code", "the companion did not answer")),
        };
        let identity = Persona::new(&self.seed, DeviceAddr::phone(number)).identity();
        let secret = primary
            .open(&bundle, &identity, &companion)
            .map_err(|_| Refusal::bad("code", "is not the companion's"))?;
        self.ask(|answer| Command::LinkWith(hello.conn, *secret.as_bytes(), answer))
            .await?
    }

    /// Unlinks a device of the phone, or all. Returns how many.
    ///
    /// # Errors
    /// If there is no such device.
    pub async fn unlink(&self, number: Number, device: Option<u16>) -> Result<usize, Refusal> {
        self.ask(|answer| Command::Unlink(number, device, answer)).await?
    }

    /// Changes which messages of an account have to prove that they may be written, and its salt. Returns the salt that
    /// holds from now on, if there is one.
    ///
    /// # Errors
    /// If there is no such phone.
    pub async fn change_tokens(
        &self,
        number: Number,
        change: TokenChange,
    ) -> Result<Option<[u8; 32]>, Refusal> {
        self.ask(|answer| Command::Tokens(number, change, answer)).await?
    }

    /// Sets properties of an account, as they are answered from now on.
    ///
    /// # Errors
    /// If there is no such phone, or it has too many.
    pub async fn set_properties(&self, number: Number, change: PropertyChange) -> Result<(), Refusal> {
        self.ask(|answer| Command::Properties(number, change, answer))
            .await?
    }

    /// Makes contacts with the numbers `prefix` + index, padded with zeros to the digits of `count - 1`.
    ///
    /// # Errors
    /// If a number would not be valid or is taken.
    pub async fn create_contacts(&self, prefix: &str, count: u64, manners: Manners) -> Result<Run, Refusal> {
        self.ask(|answer| Command::Contacts(prefix.into(), count, manners, answer))
            .await?
    }

    /// Adds a companion to a contact. Returns its device number.
    ///
    /// # Errors
    /// If there is no such contact, or it has too many.
    pub async fn add_contact_device(&self, number: Number) -> Result<u16, Refusal> {
        self.ask(|answer| Command::ContactDevice(number, answer)).await?
    }

    /// A phone or a contact sends a text. Returns the message's id.
    ///
    /// # Errors
    /// If nobody has one of the numbers.
    pub async fn say(
        &self,
        speaker: Speaker,
        to: Number,
        text: impl Into<String>,
    ) -> Result<CompactString, Refusal> {
        self.post(speaker, Audience::Chat(to), Said::Text(text.into()))
            .await
    }

    /// A phone or a contact says something of any kind. Returns the message's id.
    ///
    /// # Errors
    /// If nobody has one of the numbers, there is no such group, or a vote is in a poll that the speaker has not got.
    pub async fn post(
        &self,
        speaker: Speaker,
        audience: Audience,
        said: Said,
    ) -> Result<CompactString, Refusal> {
        self.ask(|answer| Command::Post(speaker, audience, said, answer))
            .await?
    }

    /// A contact says what became of a message.
    ///
    /// # Errors
    /// If there is no such contact, or no such group.
    pub async fn say_receipt(&self, contact: Number, wish: ReceiptWish) -> Result<(), Refusal> {
        self.ask(|answer| Command::Receipt(contact, wish, answer)).await?
    }

    /// A phone or a contact sends a document, which it has sealed.
    ///
    /// # Errors
    /// If nobody has one of the numbers.
    pub async fn send_file(
        &self,
        speaker: Speaker,
        to: Number,
        file: SentFile,
    ) -> Result<CompactString, Refusal> {
        let file = Box::new(file);
        self.ask(|answer| Command::SendFile(speaker, to, file, answer))
            .await?
    }

    /// A contact writes in the chat with a phone, or not any more; nothing is sent.
    ///
    /// # Errors
    /// If there is no such contact.
    pub async fn writes(&self, contact: Number, to: Number, writing: Writing) -> Result<(), Refusal> {
        self.ask(|answer| Command::Writes(contact, to, writing, answer))
            .await?
    }

    /// Makes a group. Returns its address.
    ///
    /// # Errors
    /// If a member is not on WhatsApp, or there are too many.
    pub async fn make_group(&self, new: NewGroup) -> Result<String, Refusal> {
        self.ask(|answer| Command::MakeGroup(new, answer)).await?
    }

    /// Does something to a group.
    ///
    /// # Errors
    /// If there is no such group, or somebody is not on WhatsApp.
    pub async fn change_group(&self, jid: &str, change: GroupChange) -> Result<(), Refusal> {
        self.ask(|answer| Command::ChangeGroup(jid.into(), Box::new(change), answer))
            .await?
    }

    /// How a group stands.
    ///
    /// # Errors
    /// If there is no such group.
    pub async fn group(&self, jid: &str) -> Result<GroupShown, Refusal> {
        self.ask(|answer| Command::ShowGroup(jid.into(), answer)).await?
    }

    /// From now on a contact can't be added to groups, and is invited instead.
    ///
    /// # Errors
    /// If there is no such contact.
    pub async fn keep_out_of_groups(&self, number: Number) -> Result<(), Refusal> {
        self.ask(|answer| Command::GroupAdd(number, false, answer))
            .await?
    }

    /// A contact lets others add it to groups, as at first.
    ///
    /// # Errors
    /// If there is no such contact.
    pub async fn let_into_groups(&self, number: Number) -> Result<(), Refusal> {
        self.ask(|answer| Command::GroupAdd(number, true, answer)).await?
    }

    /// A member of a group says something in it. Returns the message's id.
    ///
    /// # Errors
    /// If there is no such group, or the speaker may not write there.
    pub async fn say_in_group(
        &self,
        speaker: Speaker,
        group: &str,
        text: impl Into<String>,
    ) -> Result<CompactString, Refusal> {
        let said = Said::Text(text.into());
        self.post(speaker, Audience::Group(group.into()), said).await
    }

    /// A member of a group deletes the message of this id, by that member, for everyone; nobody asks whether they may.
    /// Returns the id of the deletion.
    ///
    /// # Errors
    /// If there is no such group, or the speaker may not write there.
    pub async fn delete_in_group(
        &self,
        speaker: Speaker,
        group: &str,
        id: &str,
        author: Number,
    ) -> Result<CompactString, Refusal> {
        let said = Said::Deletion(id.into(), Some(author));
        self.post(speaker, Audience::Group(group.into()), said).await
    }

    /// Sends all linked devices of a phone a stanza that no device encrypted. Returns its id.
    ///
    /// # Errors
    /// If there is no such phone or contact.
    pub async fn special(&self, phone: Number, special: Special) -> Result<CompactString, Refusal> {
        self.ask(|answer| Command::Special(phone, Box::new(special), answer))
            .await?
    }

    /// What a device of a phone or a contact got; device 0 is the phone itself.
    ///
    /// # Errors
    /// If there is no such phone or contact.
    pub async fn messages(&self, of: Speaker, device: u16) -> Result<Vec<Received>, Refusal> {
        let told = self.ask(|answer| Command::Inbox(of, device, answer)).await??;
        told.await.map_err(|_| stopping())
    }

    /// What a phone or a contact sent, with the receipts that came.
    ///
    /// # Errors
    /// If there is no such phone or contact.
    pub async fn sent(&self, by: Speaker) -> Result<Vec<Sent>, Refusal> {
        let told = self.ask(|answer| Command::Outbox(by, answer)).await??;
        told.await.map_err(|_| stopping())
    }

    /// Begins a reach-out time lock of a phone's account, or ends it: new contacts are refused with 463.
    ///
    /// # Errors
    /// If there is no such phone, or it would last too long.
    pub async fn restrict(&self, phone: Number, restrict: Option<Restrict>) -> Result<(), Refusal> {
        self.ask(|answer| Command::Restrict(phone, restrict, answer))
            .await?
    }

    /// Caps the new chats of a phone's account, or ends that: those beyond are refused with 475.
    ///
    /// # Errors
    /// If there is no such phone, or the cycle would last too long.
    pub async fn cap(&self, phone: Number, cap: Option<Cap>) -> Result<(), Refusal> {
        self.ask(|answer| Command::Cap(phone, cap, answer)).await?
    }

    /// Refuses all messages of a phone's account with 429 for so many seconds.
    ///
    /// # Errors
    /// If there is no such phone, or it would last too long.
    pub async fn rate_limit(&self, phone: Number, seconds: u64) -> Result<(), Refusal> {
        self.ask(|answer| Command::RateLimit(phone, seconds, answer))
            .await?
    }

    /// Adds a fault. Returns its number (none if it struck at once and is over) and how many sessions it struck at once.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub async fn add_fault(&self, fault: Fault) -> Result<(Option<u64>, usize), Refusal> {
        self.ask(|answer| Command::AddFault(Box::new(fault), answer))
            .await?
    }

    /// Ends a fault, or all.
    ///
    /// # Errors
    /// If there is no such fault.
    pub async fn end_faults(&self, id: Option<u64>) -> Result<(), Refusal> {
        self.ask(|answer| Command::EndFaults(id, answer)).await?
    }

    /// The active faults.
    ///
    /// # Errors
    /// If the simulator is stopping.
    pub async fn faults(&self) -> Result<Vec<Active>, Refusal> {
        self.ask(Command::Faults).await
    }

    /// Changes which versions of clients are taken, and what the page says of the current one. Returns how things stand.
    ///
    /// # Errors
    /// If the simulator is stopping.
    pub async fn versions(&self, change: VersionChange) -> Result<VersionInfo, Refusal> {
        self.ask(|answer| Command::Version(change, answer)).await
    }

    /// The page that names the current version, and how it looks.
    pub(crate) async fn page(&self) -> Result<(Page, String), Refusal> {
        self.ask(Command::Page).await
    }

    /// Announces to all sessions that are online when their version will be refused, or takes that back. Returns how many
    /// there were.
    ///
    /// # Errors
    /// If the simulator is stopping.
    pub async fn announce_expiration(&self, at: Option<String>) -> Result<usize, Refusal> {
        self.ask(|answer| Command::Expiration(at, answer)).await
    }

    /// The linked devices of all phones.
    ///
    /// # Errors
    /// If the simulator is stopping.
    pub async fn sessions(&self) -> Result<Vec<SessionInfo>, Refusal> {
        self.ask(Command::Sessions).await
    }

    /// What the server and the contacts saw up to now.
    ///
    /// # Errors
    /// If the simulator is stopping.
    pub async fn audit(&self) -> Result<Report, Refusal> {
        Ok(self.ask(Command::Audit).await?.complete().await)
    }

    /// Counts no gap across this moment.
    ///
    /// # Errors
    /// If the simulator is stopping.
    pub async fn mark_audit(&self) -> Result<(), Refusal> {
        self.ask(Command::MarkAudit).await?
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.tell(command(answer)).await?;
        answered.await.map_err(|_| stopping())
    }

    async fn tell(&self, command: Command) -> Result<(), Refusal> {
        self.commands.send(command).await.map_err(|_| stopping())
    }
}

fn stopping() -> Refusal {
    Refusal::unavailable("the simulator is stopping")
}
