//! What stands behind a purchase.

use crate::text_enum;

text_enum! {
    /// Where an order stands. Only completed ones count as bought.
    pub enum OrderStatus {
        Completed = "completed",
        Pending = "pending",
        Cancelled = "cancelled",
        Refunded = "refunded",
    }
}
