//! What single bytes of a plaintext mean.

/// Flags byte of a plaintext: the rest is a zlib stream.
pub(super) const FLAG_COMPRESSED: u8 = 0x02;

// Where a list, a string or a content begins. Bytes 1 to 235 are single tokens.
pub(super) const LIST_EMPTY: u8 = 0;
/// First of four dictionaries of double tokens.
pub(super) const DICTIONARY_0: u8 = 236;
pub(super) const DICTIONARY_3: u8 = 239;
pub(super) const INTEROP_JID: u8 = 245;
pub(super) const FB_JID: u8 = 246;
pub(super) const AD_JID: u8 = 247;
pub(super) const LIST_8: u8 = 248;
pub(super) const LIST_16: u8 = 249;
pub(super) const JID_PAIR: u8 = 250;
pub(super) const HEX_8: u8 = 251;
pub(super) const BINARY_8: u8 = 252;
pub(super) const BINARY_20: u8 = 253;
pub(super) const BINARY_32: u8 = 254;
pub(super) const NIBBLE_8: u8 = 255;

/// Servers of addresses with a device, by the domain byte of an `AD_JID`.
pub(super) mod domain {
    pub(in super::super) const USER: u8 = 0;
    pub(in super::super) const LID: u8 = 1;
    pub(in super::super) const HOSTED: u8 = 128;
    pub(in super::super) const HOSTED_LID: u8 = 129;
}
