//! Writes down what libphonenumber knows of countries: their codes, their trunk prefixes, and how many digits are possible.
//!
//! At build time, because a process that loads the library's tables compiles thousands of patterns that nobody here needs.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

use phonenumber::metadata::{DATABASE, Descriptor, Metadata};

/// What is known of a country code, over all countries that share it.
#[derive(Default)]
struct Country {
    /// Bit n: n digits behind the code are possible.
    lengths: u32,
    trunk: Option<String>,
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut countries: BTreeMap<u16, Country> = BTreeMap::new();
    for region in DATABASE.iter() {
        let country = countries.entry(region.country_code()).or_default();
        for length in kinds(region)
            .into_iter()
            .flatten()
            .flat_map(Descriptor::possible_length)
        {
            country.lengths |= 1_u32.checked_shl(u32::from(*length)).unwrap_or_default();
        }
        if country.trunk.is_none() {
            country.trunk = region.national_prefix().map(str::to_owned);
        }
    }
    let mut table = String::from("&[");
    for (code, Country { lengths, trunk }) in countries {
        write!(
            table,
            "({code}, Country {{ lengths: {lengths:#x}, trunk: {trunk:?} }}), "
        )?;
    }
    table.push(']');
    let out = std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?;
    std::fs::write(PathBuf::from(out).join("countries.rs"), table)?;
    Ok(())
}

/// The kinds of numbers that can be called from abroad.
fn kinds(region: &Metadata) -> [Option<&Descriptor>; 9] {
    let kinds = region.descriptors();
    [
        kinds.fixed_line(),
        kinds.mobile(),
        kinds.toll_free(),
        kinds.premium_rate(),
        kinds.shared_cost(),
        kinds.personal_number(),
        kinds.voip(),
        kinds.pager(),
        kinds.uan(),
    ]
}
