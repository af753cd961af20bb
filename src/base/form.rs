//! The fields of a form, in both encodings.

/// The fields of a body of this content type, in order, at most `fields_max`; one that is no form has none.
pub fn fields(kind: &str, bytes: &[u8], fields_max: usize) -> Vec<(String, String)> {
    let (essence, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    match essence.trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => {
            let pairs = form_urlencoded::parse(bytes).take(fields_max);
            pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
        }
        "multipart/form-data" => multipart(parameters, bytes, fields_max),
        _ => Vec::new(),
    }
}

/// The plain fields of a `multipart/form-data` body (RFC 7578); files are not fields.
fn multipart(parameters: &str, bytes: &[u8], fields_max: usize) -> Vec<(String, String)> {
    let Some(boundary) = parameter(parameters, "boundary") else { return Vec::new() };
    let text = String::from_utf8_lossy(bytes);
    let fence = format!("--{boundary}");
    let parts = text.split(fence.as_str()).skip(1).take_while(|part| !part.starts_with("--"));
    parts.take(fields_max).filter_map(field).collect()
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
