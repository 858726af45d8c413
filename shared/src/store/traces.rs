//! How trace contexts are stored: as the text of their header, written without a copy.

use std::error::Error;
use std::fmt::Write as _;

use bytes::BytesMut;
use tokio_postgres::Row;
use tokio_postgres::types::{IsNull, ToSql, Type};

use super::StoreError;
use crate::trace::TraceContext;

impl ToSql for TraceContext {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        write!(out, "{self}")?;
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::TEXT
    }

    postgres_types::to_sql_checked!();
}

/// The trace context of a row, if it has one. What can't be read belongs to none.
pub(super) fn trace(row: &Row, column: &str) -> Result<Option<TraceContext>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    Ok(text.and_then(|text| text.parse().ok()))
}
