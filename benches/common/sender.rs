//! Whom the benchmarks' rendered mails come from.

use indicia::render::Sender;

pub fn sender() -> Sender {
    Sender {
        key: "offers".into(),
        name: "Aurelle".into(),
        from: "club@news.shop.example".into(),
        reply_to: "care@shop.example".into(),
        bounce_domain: "bounce.news.shop.example".into(),
        postal_address: "12 Orchard Lane, Sampletown".into(),
    }
}
