//! Keyset paging: how many rows a list shows, and the cursor that continues it.
//!
//! A cursor is opaque to clients: base64url of whatever key the list is ordered by.

use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

/// Rows of a page when the client does not say.
pub const LIMIT_DEFAULT: u16 = 100;
/// Most rows of a page.
pub const LIMIT_MAX: u16 = 500;

/// The part of a query string that pages a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Rows of the page, 1 to 500; 100 by default.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500)]
    limit: Option<String>,
    /// `next` of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    /// How many rows to show.
    ///
    /// # Errors
    /// 400 for anything but 1 to [`LIMIT_MAX`].
    pub fn limit(&self) -> Result<u16, Problem> {
        let Some(text) = &self.limit else {
            return Ok(LIMIT_DEFAULT);
        };
        match text.parse() {
            Ok(limit) if (1..=LIMIT_MAX).contains(&limit) => Ok(limit),
            _ => Err(Problem::field("limit", format!("must be 1 to {LIMIT_MAX}"))),
        }
    }

    /// The key behind which the page begins.
    ///
    /// # Errors
    /// 400 for a cursor that is not one of this list.
    pub fn after<K: FromStr>(&self) -> Result<Option<K>, Problem> {
        let Some(text) = &self.cursor else { return Ok(None) };
        let key = URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        match key.and_then(|key| key.parse().ok()) {
            Some(key) => Ok(Some(key)),
            None => Err(Problem::field("cursor", "must be `next` of the page before")),
        }
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows. There may be fewer than asked for, even none, and another page.
    pub items: Vec<T>,
    /// The cursor of the next page; null on the last one.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of these rows, with the place behind which the next one begins.
    pub fn with_next<K: ToString>(items: impl IntoIterator<Item = T>, next: Option<K>) -> Self {
        Self {
            items: items.into_iter().collect(),
            next: next.map(|key| URL_SAFE_NO_PAD.encode(key.to_string())),
        }
    }

    /// Makes a page of `rows`, of which one more than `limit` was asked for; `key` names a row's place.
    pub fn new<R, K: ToString>(
        mut rows: Vec<R>,
        limit: u16,
        key: impl Fn(&R) -> K,
        show: impl FnMut(R) -> T,
    ) -> Self {
        let more = rows.len() > usize::from(limit);
        rows.truncate(usize::from(limit));
        let next = rows
            .last()
            .filter(|_| more)
            .map(|row| URL_SAFE_NO_PAD.encode(key(row).to_string()));
        Self {
            items: rows.into_iter().map(show).collect(),
            next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(limit: Option<&str>, cursor: Option<&str>) -> PageQuery {
        PageQuery {
            limit: limit.map(str::to_owned),
            cursor: cursor.map(str::to_owned),
        }
    }

    #[test]
    fn the_cursor_of_a_full_page_continues_it() {
        let page = Page::new(vec![1, 2, 3], 2, |row| *row, |row| row);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(query(None, page.next.as_deref()).after::<i32>().unwrap(), Some(2));
        assert_eq!(Page::new(vec![1, 2], 2, |row| *row, |row| row).next, None);
        assert_eq!(Page::new(Vec::<i32>::new(), 2, |row| *row, |row| row).next, None);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for limit in ["0", "501", "-1", "x"] {
            assert_eq!(
                query(Some(limit), None).limit().unwrap_err().fields()[0].field,
                "limit"
            );
        }
        assert_eq!(
            query(None, Some("!!")).after::<i32>().unwrap_err().fields()[0].field,
            "cursor"
        );
        assert_eq!(query(Some("500"), None).limit(), Ok(500));
    }
}
