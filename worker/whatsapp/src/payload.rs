//! The `ClientPayload`: what a client says about itself in the last message of the handshake.
//!
//! Values that WhatsApp Web sends and nobody needs to choose are constants here.
//!
//! Facts: docs/PROTOCOL.md, "Client payload".

use md5::{Digest as _, Md5};
use prost::Message as _;

use crate::device::Device;
use crate::proto::client_payload::{
    ConnectReason, ConnectType, DevicePairingRegistrationData, UserAgent, WebInfo,
    user_agent::{AppVersion, Platform, ReleaseChannel},
    web_info::WebSubPlatform,
};
use crate::proto::device_props::{self, HistorySyncConfig, PlatformType};
use crate::proto::{ClientPayload, DeviceProps};
use crate::signal::curve::KEY_TYPE;
use crate::version::ClientVersion;

/// How the device presents itself.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The version of WhatsApp Web that we say we are.
    pub version: ClientVersion,
    /// The browser's name, which the phone shows, such as `Chrome`.
    pub browser: String,
    /// The operating system's name, which the phone shows, such as `Mac OS`.
    pub os: String,
    /// How much history to ask for when pairing.
    pub history: HistoryWish,
}

/// How much history the phone is asked for when pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryWish {
    /// How much.
    pub depth: History,
    /// Not older than so many days, if it is to be less than what the phone deems so much.
    pub days: Option<u32>,
}

impl From<History> for HistoryWish {
    /// As far back as the phone goes.
    fn from(depth: History) -> Self {
        Self { depth, days: None }
    }
}

/// How much of the account's history the phone sends after pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// What the phone deems recent, since it sends that in any case; the owner is told nothing of it.
    Off,
    /// What the phone deems recent.
    Recent,
    /// Everything.
    Full,
}

/// The encoded payload of a device that is not paired yet.
#[must_use]
pub fn registration(device: &Device, profile: &Profile) -> Vec<u8> {
    let prekey = &device.signed_prekey;
    let [_, id @ ..] = prekey.id.get().to_be_bytes();
    let pairing = DevicePairingRegistrationData {
        e_regid: Some(device.registration_id.get().to_be_bytes().to_vec().into()),
        e_keytype: Some(vec![KEY_TYPE].into()),
        e_ident: Some(device.identity.public().to_bytes().to_vec().into()),
        e_skey_id: Some(id.to_vec().into()),
        e_skey_val: Some(prekey.pair.public().to_bytes().to_vec().into()),
        e_skey_sig: Some(prekey.signature.to_vec().into()),
        build_hash: Some(Md5::digest(profile.version.to_string()).to_vec().into()),
        device_props: Some(device_props(profile).encode_to_vec().into()),
    };
    ClientPayload {
        passive: Some(false),
        pull: Some(false),
        device_pairing_data: Some(pairing),
        ..common(profile)
    }
    .encode_to_vec()
}

/// The encoded payload of a paired device; `None` if it is not paired, or its address is no phone number.
///
/// Logs in passively: the server holds messages back until it is told `active`.
#[must_use]
pub fn login(device: &Device, profile: &Profile) -> Option<Vec<u8>> {
    let jid = device.jid()?;
    let payload = ClientPayload {
        username: Some(jid.user().parse().ok()?),
        passive: Some(true),
        device: Some(jid.device().into()),
        pull: Some(true),
        push_name: device.push_name().map(str::to_owned),
        lid_db_migrated: Some(false),
        ..common(profile)
    };
    Some(payload.encode_to_vec())
}

fn common(profile: &Profile) -> ClientPayload {
    let version = &profile.version;
    ClientPayload {
        user_agent: Some(UserAgent {
            platform: Some(Platform::Web.into()),
            app_version: Some(AppVersion {
                primary: Some(version.primary),
                secondary: Some(version.secondary),
                tertiary: Some(version.tertiary),
                ..Default::default()
            }),
            mcc: Some(NO_NETWORK.to_owned()),
            mnc: Some(NO_NETWORK.to_owned()),
            os_version: Some(OS_VERSION.to_owned()),
            device: Some(DEVICE_NAME.to_owned()),
            os_build_number: Some(OS_VERSION.to_owned()),
            release_channel: Some(ReleaseChannel::Release.into()),
            locale_language_iso6391: Some(LANGUAGE.to_owned()),
            locale_country_iso31661_alpha2: Some(COUNTRY.to_owned()),
            ..Default::default()
        }),
        web_info: Some(WebInfo {
            web_sub_platform: Some(WebSubPlatform::WebBrowser.into()),
            ..Default::default()
        }),
        connect_type: Some(ConnectType::WifiUnknown.into()),
        connect_reason: Some(ConnectReason::UserActivated.into()),
        ..Default::default()
    }
}

fn device_props(profile: &Profile) -> DeviceProps {
    let (primary, secondary, tertiary) = PROPS_VERSION;
    DeviceProps {
        os: Some(profile.os.clone()),
        version: Some(device_props::AppVersion {
            primary: Some(primary),
            secondary: Some(secondary),
            tertiary: Some(tertiary),
            ..Default::default()
        }),
        platform_type: Some(platform_type(&profile.browser).into()),
        require_full_sync: Some(profile.history.depth == History::Full),
        history_sync_config: Some(HistorySyncConfig {
            full_sync_days_limit: profile.history.days,
            recent_sync_days_limit: profile.history.days,
            storage_quota_mb: Some(HISTORY_QUOTA_MB),
            inline_initial_payload_in_e2_ee_msg: Some(true),
            support_call_log_history: Some(false),
            support_bot_user_agent_chat_history: Some(true),
            support_cag_reactions_and_polls: Some(true),
            support_biz_hosted_msg: Some(true),
            support_recent_sync_chunk_message_count_tuning: Some(true),
            support_hosted_group_msg: Some(true),
            support_fbid_bot_chat_history: Some(true),
            support_message_association: Some(true),
            support_group_history: Some(false),
            ..Default::default()
        }),
    }
}

/// The number of a browser, as the phone is told it when the device is linked.
#[must_use]
pub fn platform_type(browser: &str) -> PlatformType {
    match browser {
        "Firefox" => PlatformType::Firefox,
        "IE" => PlatformType::Ie,
        "Opera" => PlatformType::Opera,
        "Safari" => PlatformType::Safari,
        "Edge" => PlatformType::Edge,
        "Desktop" => PlatformType::Desktop,
        _ => PlatformType::Chrome,
    }
}

/// Mobile country and network code of a browser.
const NO_NETWORK: &str = "000";
const OS_VERSION: &str = "0.1";
const DEVICE_NAME: &str = "Desktop";
const LANGUAGE: &str = "en";
const COUNTRY: &str = "US";
/// Version of the operating system that the phone is told.
const PROPS_VERSION: (u32, u32, u32) = (10, 15, 7);
const HISTORY_QUOTA_MB: u32 = 10_240;

#[cfg(test)]
mod tests;
