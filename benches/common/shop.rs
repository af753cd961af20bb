//! A campaign of mails of about 35 KB with 12 tracked links and a product block, for any number of members.

use std::fmt::Write as _;
use std::path::Path;

use super::indicia;

const PRODUCTS: usize = 500;
/// Filler of the mail's body, so that it comes to 35 KB (within 5 %) on the wire with its text part.
const PARAGRAPHS: usize = 71;

/// Writes and imports members, products and the template; the campaign file lies in `folder`. `more` ends the
/// configuration.
pub fn set_up(folder: &Path, members: usize, database: &str, port: u16, connections: usize, more: &str) {
    let keys = match database.starts_with("postgres") {
        true => {
            std::fs::write(folder.join("token.key"), [b'7'; 64]).expect("write");
            "[[tokens.key]]\nid = 1\nfile = \"token.key\"\n"
        }
        false => "",
    };
    let config = format!(
        "[database]\nurl = \"{database}\"\n[http]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://t.brand.example\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n[queue]\npoll = \"20ms\"\n[[sender]]\nname = \"offers\"\n\
         from = \"Brand <offers@news.brand.example>\"\nreply_to = \"care@brand.example\"\n\
         bounce_domain = \"bounce.news.brand.example\"\npostal_address = \"Brand, 1 Street, City\"\n\
         [[route]]\nname = \"sink\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nconnections = {connections}\nshaping = false\n{keys}{more}"
    );
    std::fs::write(folder.join("indicia.toml"), config).expect("write");
    std::fs::write(folder.join("members.csv"), members_csv(members)).expect("write");
    std::fs::write(folder.join("products.csv"), products_csv()).expect("write");
    std::fs::write(
        folder.join("campaign.toml"),
        "name = \"bench\"\ntemplate = \"bench\"\nsegment = 'points >= 0'\ntopic = \"offers\"\n",
    )
    .expect("write");
    write_template(&folder.join("templates/bench"));
    indicia(folder, &["import", "members", "members.csv"]);
    indicia(folder, &["import", "products", "products.csv"]);
    indicia(folder, &["template", "push", "templates"]);
}

fn members_csv(members: usize) -> String {
    let mut out = String::from("email,external_id,first_name,last_name,locale,zone,topics,points\n");
    for n in 0..members {
        let domain = ["mail", "post", "inbox"][n % 3];
        let _ = writeln!(out, "member{n}@{domain}.example,x{n},First{n},Last{n},en,Europe/Berlin,offers,{}", n % 5000);
    }
    out
}

fn products_csv() -> String {
    let mut out = String::from("sku,name,category,brand,price,currency,url,image_url,stock\n");
    for n in 0..PRODUCTS {
        let (sort, brand) = (n % 25, n % 7);
        let _ = writeln!(
            out,
            "SKU-{n},Appliance number {n},home/sort{sort},Brand{brand},{}.00,EUR,https://shop.example/p/{n},https://cdn.example/{n}.png,{}",
            100 + n % 900,
            n % 11 + 1
        );
    }
    out
}

/// Six static links, unsubscribe and web version aside, and six products: twelve tracked links.
fn write_template(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("write");
    write("template.toml", "class = \"marketing\"\ntopic = \"offers\"\ndefault_locale = \"en\"\n");
    write("en.toml", "subject = \"{{ member.first_name }}, picked for you\"\npreheader = \"Your points and offers\"\n");
    write("en.txt", "Hello {{ member.first_name }}, you have {{ points | number }} points.\n{{ unsubscribe_url() }}\n");
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Offers</title></head><body>\n\
         <h1>Hello {{ member.first_name }} {{ member.last_name }}</h1>\n<p>You have {{ points | number }} points.</p>\n",
    );
    for n in 0..6 {
        let _ = writeln!(html, "<p><a href=\"https://shop.example/landing/{n}\">Offer number {n}</a></p>");
    }
    for n in 0..PARAGRAPHS {
        let _ = writeln!(
            html,
            "<table role=\"presentation\" width=\"100%\"><tr><td style=\"padding:8px 16px;font-family:Arial,sans-serif;\
             font-size:14px;line-height:20px;color:#333333\">Paragraph {n} for {{{{ member.first_name }}}}: a refrigerator keeps \
             what the season brings, quietly, for years; ask us about delivery, installation and trade-in. Your tier and \
             your balance of {{{{ points }}}} points count in every shop of ours, today and on each member day.</td></tr></table>"
        );
    }
    html.push_str(
        "{% for p in products(strategy=\"for_you\", n=6) %}\n<table role=\"presentation\"><tr><td><a href=\"{{ p.url }}\">\
         <img src=\"{{ p.image_url }}\" width=\"180\" height=\"180\" alt=\"{{ p.name }}\"></a></td><td><b>{{ p.name }}</b><br>\
         {{ p.price | money(currency=p.currency) }}<br><small>{{ p.reason }}</small></td></tr></table>\n{% endfor %}\n\
         <p>{{ sender.postal_address }} · <a href=\"{{ unsubscribe_url() }}\">Unsubscribe</a></p></body></html>\n",
    );
    write("en.html", &html);
}
