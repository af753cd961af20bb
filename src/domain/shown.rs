//! What an armed mail showed: the small record from which its web version and the member's timeline render again.

use serde::{Deserialize, Serialize};

/// One mail's record. As JSON at most about 200 bytes with six products.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// The row of `template_version` it was rendered from.
    #[serde(rename = "v")]
    pub template_version: i64,
    /// The locale of the variant that was taken.
    #[serde(rename = "l")]
    pub locale: String,
    /// The points balance the mail spoke of.
    #[serde(rename = "b")]
    pub balance: i64,
    /// Products in the order shown, each with the code of its reason
    /// ([`Reason::code`](crate::domain::recommend::Reason::code)).
    #[serde(rename = "p", default)]
    pub products: Vec<(i64, String)>,
}

impl Shown {
    /// The record as it is kept.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and strings are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_products_fit_in_200_bytes_and_come_back() {
        let products = (0..6).map(|n| (u32::MAX as i64 - n, "i".to_owned())).collect();
        let shown = Shown { template_version: 12_345, locale: "zh-Hans-CN".into(), balance: 1_234_567, products };
        let json = shown.to_json();
        assert!(json.len() <= 200, "{} bytes: {json}", json.len());
        assert_eq!(serde_json::from_str::<Shown>(&json).unwrap(), shown);
    }
}
