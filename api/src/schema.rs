//! Schemas of types that travel over AMQP too: made by the types themselves, under the names that routes refer to.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use utoipa::openapi::schema::{OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{ArrayBuilder, ObjectBuilder, Ref, RefOr, Schema};

/// What makes the schemas: the document's own dialect, and its place for them.
pub fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    settings.into_generator()
}

/// A reference to the schema of `T`, for a field of an answer.
pub fn reference<T: JsonSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::schema_name()).into()
}

/// The same, for a list.
pub fn list<T: JsonSchema>() -> Schema {
    ArrayBuilder::new().items(reference::<T>()).into()
}

/// The same, for a field that may be null.
pub fn nullable<T: JsonSchema>() -> Schema {
    let null = ObjectBuilder::new().schema_type(SchemaType::new(Type::Null));
    OneOfBuilder::new().item(reference::<T>()).item(null).into()
}
