//! Small forms, in both encodings a mail program or a browser may send, read within a bound.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::HeaderMap;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::CONTENT_TYPE;

use crate::base::form;

/// Longest form, bytes.
pub const FORM_BYTES_MAX: usize = 16 * 1024;
/// Most fields of a form.
const FIELDS_MAX: usize = 64;
/// For a form to arrive, seconds.
const FORM_TIMEOUT_S: u64 = 10;
/// What is thrown away of a body that is too long, so that its sender gets to read the answer, bytes.
const DRAIN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Why a form was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormError {
    /// Longer than its bound.
    TooLong,
    /// The connection broke or was too slow.
    Broken,
}

/// The fields of a form, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    pub fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Reads a body as a form; one of another type has no fields.
    ///
    /// # Errors
    /// [`FormError`]. A body known to be too long is refused before its first byte is read, then thrown away as it
    /// comes; nothing of it is kept.
    pub async fn read(headers: &HeaderMap, body: Incoming) -> Result<Form, FormError> {
        let bytes = bytes(body, FORM_BYTES_MAX).await?;
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        Ok(Form::parse(kind, &bytes))
    }

    fn parse(kind: &str, bytes: &[u8]) -> Form {
        Form(form::fields(kind, bytes, FIELDS_MAX))
    }
}

/// The bytes of a body of at most `bytes_max`.
///
/// # Errors
/// As [`Form::read`].
pub async fn bytes(body: Incoming, bytes_max: usize) -> Result<Bytes, FormError> {
    if body.size_hint().lower() > bytes_max as u64 {
        tokio::spawn(throw_away(body));
        return Err(FormError::TooLong);
    }
    let bytes = tokio::time::timeout(Duration::from_secs(FORM_TIMEOUT_S), Limited::new(body, bytes_max).collect());
    match bytes.await {
        Ok(Ok(bytes)) => Ok(bytes.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(FormError::TooLong),
        _ => Err(FormError::Broken),
    }
}

async fn throw_away(mut body: Incoming) {
    let drain = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(FORM_TIMEOUT_S), drain).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_of_one_click_say_the_same() {
        let plain = Form::parse("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click");
        let parts = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n";
        let multi = Form::parse("multipart/form-data; boundary=\"b\"", parts.as_bytes());
        assert_eq!(plain.get("List-Unsubscribe"), Some("One-Click"));
        assert_eq!(plain, multi);
    }

    #[test]
    fn nonsense_has_no_fields() {
        for (kind, body) in [
            ("", "a=b"),
            ("text/plain", "a=b"),
            ("multipart/form-data", "--b\r\n\r\n--b--"),
            ("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data\r\n\r\nx"),
        ] {
            assert_eq!(Form::parse(kind, body.as_bytes()), Form::default(), "{kind} {body}");
        }
        let many = "a=1&".repeat(1_000);
        assert_eq!(Form::parse("application/x-www-form-urlencoded", many.as_bytes()).all("a").count(), FIELDS_MAX);
    }
}
