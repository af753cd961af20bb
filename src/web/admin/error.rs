//! What the admin listener says when it cannot answer: JSON under `/api`, a line of text elsewhere.

use axum::Json;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::store::StoreError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("there is no {0}")]
    Missing(String),
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the mailbox could not be read: {0}")]
    Mailbox(#[from] std::io::Error),
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let status = match &self {
            AdminError::Missing(_) => StatusCode::NOT_FOUND,
            AdminError::Refused(_) => StatusCode::CONFLICT,
            AdminError::Store(_) | AdminError::Mailbox(_) => {
                tracing::error!(error = %self, "an admin page could not be answered");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (status, Json(serde_json::json!({ "error": self.to_string() }))).into_response()
    }
}

/// Any path that leads nowhere.
pub async fn nothing_here(uri: Uri) -> AdminError {
    AdminError::Missing(format!("page {}", uri.path()))
}
