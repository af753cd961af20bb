//! What a marketer does, in a real browser: watches a campaign go out, opens a member's mail, follows a link, and sees
//! the member's tags change; no page is loaded again by hand.

use std::fmt::Write as _;

use crate::support::browser::Browser;
use crate::support::daemon::Home;

/// Enough for the page to be seen changing, at the campaign's rate.
const MEMBERS: usize = 40;
const SECTIONS: &str = "[queue]\npoll = \"20ms\"\n[[sender]]\nname = \"offers\"\n\
    from = \"Example Shop <offers@shop.example>\"\npostal_address = \"Example Shop, 1 Market Street\"\n";
const CAMPAIGN: &str = "name = \"spring sale\"\ntemplate = \"goods\"\nsegment = 'email is set'\nrate = 10.0\n";
const HTML: &str = "<html><body><p>Hello {{ member.first_name }}</p>\
    {% for p in products(strategy=\"popular\", n=1) %}<a class=\"product\" href=\"{{ p.url }}\">{{ p.name }}</a>{% endfor %}\
    <p><a href=\"{{ unsubscribe_url() }}\">Unsubscribe</a></p></body></html>\n";
/// Set once on a page: still there while nobody has loaded the page again.
const MARK: &str = "window.stayed = true";

/// A shop of one refrigerator, whose page is on this machine, and members who hear of it.
fn fill(home: &Home, shop: &str) {
    let mut members = "email,first_name,topics\nanna@mail.example,Anna,offers\n".to_owned();
    for n in 1..MEMBERS {
        let _ = writeln!(members, "m{n}@mail.example,Member,offers");
    }
    home.write("members.csv", &members);
    let product = format!("F1,Frost 420,kitchen/refrigerator,Aurelia,1299.00,EUR,{shop}/frost,5");
    home.write("products.csv", &format!("sku,name,category,brand,price,currency,url,stock\n{product}\n"));
    home.write("templates/goods/template.toml", "class = \"marketing\"\ntopic = \"offers\"\ndefault_locale = \"en\"\n");
    home.write("templates/goods/en.toml", "subject = \"For {{ member.first_name }}\"\npreheader = \"News\"\n");
    home.write("templates/goods/en.html", HTML);
    home.write("campaign.toml", CAMPAIGN);
    home.done(&["import", "members", "members.csv"]);
    home.done(&["import", "products", "products.csv"]);
    home.done(&["template", "push", "templates"]);
    home.done(&["campaign", "start", "campaign.toml"]);
}

#[test]
fn a_marketer_sees_the_campaign_go_out_and_a_click_become_a_tag() {
    let Some(browser) = Browser::start() else { return };
    let home = Home::new(SECTIONS);
    let daemon = home.start();
    fill(&home, daemon.url("http"));
    let admin = daemon.url("admin");

    browser.open(&format!("{admin}/admin"));
    browser.until("document.querySelector('a.row')");
    browser.click("a.row");
    browser.until("document.querySelector('h1')?.textContent === 'spring sale'");
    browser.ask(MARK);
    let state = "document.querySelector('.pill').textContent";
    let sent = "Number(document.querySelector('.legend b')?.textContent ?? 0)";
    browser.until(&format!("{sent} > 0 && {state} === 'sending'"));
    let first = browser.ask(&format!("return {sent}"));
    browser.until(&format!("{sent} > {first} && {state} === 'sending'"));
    browser.until(&format!("{sent} === {MEMBERS} && {state} === 'finished'"));
    browser.until(&format!("Number(document.querySelectorAll('.tile strong')[1].textContent) === {MEMBERS}"));
    assert_eq!(browser.ask("return window.stayed"), true, "the page was loaded again");

    browser.open(&format!("{admin}/mailbox?q=anna"));
    browser.click("a.row");
    browser.until("document.querySelector('h1')?.textContent === 'For Anna'");
    browser.ask(MARK);
    let tags = "document.querySelector('[data-live$=\"/tags\"]').textContent";
    let before = browser.ask(&format!("return {tags}"));
    assert!(!before.as_str().expect("a text").contains("refrigerator"), "{before}");
    browser.enter_frame("iframe");
    browser.click("a.product");
    browser.leave_frame();
    assert_eq!(browser.look_into_new_window(), format!("{}/frost", daemon.url("http")));
    browser.until(&format!("{tags}.includes('interest:refrigerator')"));
    assert_eq!(browser.ask("return window.stayed"), true, "the page was loaded again");
    assert_eq!(daemon.stop(), 0);
}
