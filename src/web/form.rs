//! Small forms, in both encodings a mail program or a browser may send, read within a bound.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::HeaderMap;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::CONTENT_TYPE;

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
    /// Longer than [`FORM_BYTES_MAX`].
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
        if body.size_hint().lower() > FORM_BYTES_MAX as u64 {
            tokio::spawn(throw_away(body));
            return Err(FormError::TooLong);
        }
        let bytes =
            tokio::time::timeout(Duration::from_secs(FORM_TIMEOUT_S), Limited::new(body, FORM_BYTES_MAX).collect());
        let bytes = match bytes.await {
            Ok(Ok(bytes)) => bytes.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => return Err(FormError::TooLong),
            _ => return Err(FormError::Broken),
        };
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        Ok(Form::parse(kind, &bytes))
    }

    fn parse(kind: &str, bytes: &[u8]) -> Form {
        let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/x-www-form-urlencoded" => {
                let pairs = form_urlencoded::parse(bytes).take(FIELDS_MAX);
                Form(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
            }
            "multipart/form-data" => Form(multipart(parameters, bytes)),
            _ => Form::default(),
        }
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

/// The plain fields of a `multipart/form-data` body (RFC 7578); files are not fields.
fn multipart(parameters: &str, bytes: &[u8]) -> Vec<(String, String)> {
    let Some(boundary) = parameter(parameters, "boundary") else { return Vec::new() };
    let text = String::from_utf8_lossy(bytes);
    let fence = format!("--{boundary}");
    let parts = text.split(fence.as_str()).skip(1).take_while(|part| !part.starts_with("--"));
    parts.take(FIELDS_MAX).filter_map(field).collect()
}

fn field(part: &str) -> Option<(String, String)> {
    let (head, value) = part.split_once("\r\n\r\n")?;
    let disposition = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let name = parameter(disposition, "name")?;
    Some((name, value.strip_suffix("\r\n").unwrap_or(value).to_owned()))
}

fn parameter(text: &str, name: &str) -> Option<String> {
    text.split(';').find_map(|piece| {
        let (key, value) = piece.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"').to_owned())
    })
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
