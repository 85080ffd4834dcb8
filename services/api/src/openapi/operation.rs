//! What the document says about one operation besides its types.

use crate::error_code::ErrorCode;
use serde_json::Value;

/// The texts, examples and errors of an operation.
#[derive(Clone)]
pub struct OperationDoc {
    pub id: &'static str,
    pub summary: &'static str,
    pub description: &'static str,
    /// Besides those that its group of routes has in common.
    pub errors: &'static [ErrorCode],
    pub request_example: Option<Value>,
    pub answer_example: Option<Value>,
}

/// An operation with its `operationId` and a line for people.
pub fn operation(id: &'static str, summary: &'static str) -> OperationDoc {
    OperationDoc { id, summary, description: "", errors: &[], request_example: None, answer_example: None }
}

impl OperationDoc {
    pub fn describe(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    pub fn errors(self, errors: &'static [ErrorCode]) -> Self {
        Self { errors, ..self }
    }

    /// A body to send.
    pub fn request(self, example: Value) -> Self {
        Self { request_example: Some(example), ..self }
    }

    /// The answer to it.
    pub fn answer(self, example: Value) -> Self {
        Self { answer_example: Some(example), ..self }
    }
}
