//! What members do outside their mails, by the names of the Segment e-commerce spec (v2): Title Case, past tense.

use std::borrow::Cow;

use aws_lc_rs::digest;

/// Longest name of an event, bytes.
pub const NAME_BYTES_MAX: usize = 80;

pub const PRODUCT_VIEWED: &str = "Product Viewed";
pub const PRODUCT_ADDED: &str = "Product Added";
pub const PRODUCT_CLICKED: &str = "Product Clicked";
/// One row per line of an order, with its product.
pub const ORDER_COMPLETED: &str = "Order Completed";

/// The names the spec knows, and our own additions in the same manner. Any other name is a custom event.
pub const STANDARD: &[&str] = &[
    "Products Searched",
    "Product List Viewed",
    "Product List Filtered",
    "Promotion Viewed",
    "Promotion Clicked",
    PRODUCT_CLICKED,
    PRODUCT_VIEWED,
    PRODUCT_ADDED,
    "Product Removed",
    "Cart Viewed",
    "Checkout Started",
    "Checkout Step Viewed",
    "Checkout Step Completed",
    "Payment Info Entered",
    "Order Updated",
    ORDER_COMPLETED,
    "Order Refunded",
    "Order Cancelled",
    "Coupon Entered",
    "Coupon Applied",
    "Coupon Denied",
    "Coupon Removed",
    "Product Added to Wishlist",
    "Product Removed from Wishlist",
    "Wishlist Product Added to Cart",
    "Product Shared",
    "Cart Shared",
    "Product Reviewed",
    "Member Registered",
    "Profile Completed",
    "Order Shipped",
    "Appliance Installed",
    "Survey Answered",
    "Points Earned",
    "Points Redeemed",
];

/// The name under which an event is kept: the spec's spelling whatever the letter case, else the text as given.
/// `None` for an empty name, one longer than [`NAME_BYTES_MAX`], or one with control characters.
pub fn name(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return None;
    }
    let known = STANDARD.iter().find(|known| known.eq_ignore_ascii_case(text));
    Some(known.map_or(Cow::Borrowed(text), |known| Cow::Borrowed(*known)))
}

/// What makes an event from outside one and the same: 63 bits of SHA-256 over the parts of its source's own id, each
/// with its length before it.
pub fn dedup(parts: &[&str]) -> i64 {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in parts {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let word: [u8; 8] = hash.finish().as_ref()[..8].try_into().expect("eight bytes of a hash");
    i64::from_be_bytes(word) & i64::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_get_their_spelling_and_others_stay() {
        assert_eq!(name("product viewed").as_deref(), Some(PRODUCT_VIEWED));
        assert_eq!(name(" Kettle Descaled ").as_deref(), Some("Kettle Descaled"));
        assert_eq!(name(""), None);
        assert_eq!(name("a\u{0}b"), None);
        assert_eq!(name(&"x".repeat(81)), None);
    }
}
