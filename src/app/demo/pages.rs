//! The sample shop as its visitors see it: what a click in a mail leads to.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

use super::shop::picture;
use crate::domain::catalog::leaf;
use crate::domain::money;
use crate::store::Db;
use crate::store::product::{self, Offer, Product};

/// The shop's pages: `/demo/SKU`, `/demo/img/SKU.svg`, and `/demo/…` for every other link of the sample mail.
pub fn router(db: Db) -> Router {
    Router::new()
        .route("/demo/img/{file}", get(image))
        .route("/demo/{sku}", get(page))
        .route("/demo", get(home))
        .with_state(db)
}

async fn image(Path(file): Path<String>) -> Response {
    match file.strip_suffix(".svg").and_then(picture) {
        Some(svg) => {
            ([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "max-age=3600")], svg).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn home() -> Html<String> {
    Html(frame("The sample shop", "<p>You followed a link of a mail to the shop's front page.</p>"))
}

async fn page(State(db): State<Db>, Path(sku): Path<String>) -> Response {
    let found = match db.reader().await {
        Ok(mut reader) => product::with_offers(reader.conn(), &[&sku]).await.ok(),
        Err(_) => None,
    };
    match found.as_ref().and_then(|(products, offers)| Some((products.first()?, offers.first()))) {
        Some((product, offer)) => Html(frame(&product.name, &show(product, offer))).into_response(),
        None => Html(frame("The sample shop", "<p>You followed a link of a mail to a page of the shop.</p>"))
            .into_response(),
    }
}

fn show(product: &Product, offer: Option<&Offer>) -> String {
    let price = offer.map(|offer| {
        let digits = money::exponent(&offer.currency).unwrap_or(2);
        let price = offer.price_minor as f64 / 10_f64.powi(digits as i32);
        format!("{price:.*} {}", digits as usize, escape(&offer.currency))
    });
    format!(
        "<img src=\"/demo/img/{sku}.svg\" width=\"320\" height=\"320\" alt=\"{name}\"><p class=\"brand\">{brand}</p>\
         <p class=\"price\">{price}</p><p>Your click was recorded before this page was answered. Go back to the mailbox \
         and watch the tag <code>interest:{leaf}</code> rise.</p>",
        sku = escape(&product.sku),
        name = escape(&product.name),
        brand = escape(&product.brand),
        price = price.unwrap_or_default(),
        leaf = escape(leaf(&product.category)),
    )
}

fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>body{{font:16px/1.5 system-ui,sans-serif;margin:0;background:#f4f5f7;color:#1d2430}}\
         main{{max-width:36rem;margin:3rem auto;padding:2rem;background:#fff;border-radius:12px;box-shadow:0 1px 4px #0002}}\
         img{{max-width:100%;height:auto;border-radius:8px}}.brand{{color:#667;margin:0}}.price{{font-size:1.4rem;font-weight:600;margin:.2rem 0 1rem}}\
         a{{color:#1d5fa8}}</style><main><h1>{title}</h1>{body}<p><a href=\"/mailbox\">Back to the mailbox</a></p></main></html>",
        title = escape(title),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
