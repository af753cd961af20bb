//! Actors who load the pixel and the links of a mail, with the truth of who each of them is.
//!
//! Made from what is known of mail clients, proxies and scanners alone, apart from whatever tells people and machines
//! apart: it is the judge, so it is not fitted to the judged. Every number of an actor (how fast, from where, how
//! often) is drawn anew for a seed. A scanned member is a person too, who may come later from an address of his own.

use std::net::{IpAddr, Ipv4Addr};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const SENT_AT_MS: i64 = 1_795_000_000_000;

/// Who acts. The plain ones behave as their makers describe; the evasive ones are made to be mistaken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Actor {
    /// A person at a browser or a phone: opens, reads, follows a few links.
    Browser,
    /// A person who opens two links in tabs at once, or clicks one link twice.
    TwoFastClicks,
    /// People of one firm, or of a house of several firms, behind one address.
    Office,
    /// Apple's mail privacy loads the pixel ahead; the person clicks from his own address.
    AppleProxy,
    /// Gmail's image proxy loads the pixel on display; the person clicks from his own address.
    GmailProxy,
    /// Checks the links at delivery from a large cloud, with agents of browsers.
    SafeLinks,
    /// Takes pixel and every link within seconds of delivery, often by HEAD or with an honest agent.
    Barracuda,
    /// A chat or messenger that makes a preview of one link.
    Preview,
    /// Evasive: a scanner that waits, then takes every link at once with a browser's agent.
    DelayedBurst,
    /// Evasive: a scanner that waits, then takes the links one after the other over minutes.
    DelayedSlow,
    /// Evasive: checks the one link a person clicks, at the moment of the click, from a cloud.
    AtClick,
    /// Evasive, the other way round: many people of many domains behind a carrier's one address.
    CarrierNat,
    /// Evasive, the other way round: a person who opens every link of the mail, one tab after the other.
    Collector,
}

impl Actor {
    pub const PLAIN: [Actor; 8] = [
        Actor::Browser,
        Actor::TwoFastClicks,
        Actor::Office,
        Actor::AppleProxy,
        Actor::GmailProxy,
        Actor::SafeLinks,
        Actor::Barracuda,
        Actor::Preview,
    ];
    pub const EVASIVE: [Actor; 5] =
        [Actor::DelayedBurst, Actor::DelayedSlow, Actor::AtClick, Actor::CarrierNat, Actor::Collector];
}

/// What was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Pixel,
    /// A link of the mail, counted from 0.
    Link(i64),
    /// The link no reader sees.
    Hidden,
}

/// Who really made a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    Person,
    /// A proxy of a mail service that shows a picture to a person.
    Proxy,
    /// Loaded ahead, whether or not anybody reads.
    Prefetch,
    Scanner,
}

/// A mail that was delivered.
#[derive(Debug, Clone)]
pub struct Mail {
    pub message: i64,
    pub domain: String,
    pub delivered_at_ms: i64,
    /// Links a reader sees.
    pub links: i64,
}

/// A request that came back for a mail.
#[derive(Debug, Clone)]
pub struct Hit {
    pub mail: Mail,
    pub actor: Actor,
    pub truth: Truth,
    pub at_ms: i64,
    pub target: Target,
    pub head: bool,
    pub agent: String,
    pub ip: IpAddr,
}

/// Everything that came back for one sending: `each` mails to each of `actors`, in the order of time.
pub fn play(seed: u64, actors: &[Actor], each: usize) -> Vec<Hit> {
    let mut stage = Stage { rng: StdRng::seed_from_u64(seed), seed, hits: Vec::new(), mails: 0, sending_ms: 0 };
    stage.sending_ms = stage.between(MINUTE, 2 * HOUR);
    for &actor in actors {
        stage.act(actor, each);
    }
    stage.hits.sort_by_key(|hit| (hit.at_ms, hit.mail.message));
    stage.hits
}

struct Stage {
    rng: StdRng,
    seed: u64,
    hits: Vec<Hit>,
    mails: i64,
    sending_ms: i64,
}

/// A scanner's manners, drawn once for a firm that uses it.
struct Manners {
    pool: Vec<IpAddr>,
    agents: Vec<String>,
    head: f64,
    /// Whether it reads the styles, and so leaves what is hidden alone.
    sees_styles: bool,
    pixel: f64,
    /// After delivery, in ms: from, to.
    wait_ms: (i64, i64),
    /// Between two links, in ms: from, to.
    step_ms: (i64, i64),
    /// The share of links it follows.
    follows: f64,
}

impl Stage {
    fn act(&mut self, actor: Actor, each: usize) {
        let office = self.home_address();
        let firms: Vec<String> = (0..self.between(1, 4)).map(|n| format!("firm-{}-{n}.example", self.seed)).collect();
        let carrier = self.home_address();
        let manners = self.manners(actor);
        let habit = self.habit();
        for _ in 0..each {
            let domain = match actor {
                Actor::AppleProxy => self.one_of(&["icloud.com", "me.com", "gmail.com", "outlook.com"]).to_owned(),
                Actor::GmailProxy => "gmail.com".to_owned(),
                Actor::Office => self.one_of(&firms).clone(),
                Actor::SafeLinks | Actor::Barracuda | Actor::DelayedBurst | Actor::DelayedSlow | Actor::AtClick => {
                    format!("scanned-{}.example", self.between(0, 12))
                }
                _ => self.one_of(&["gmail.com", "mail.ru", "qq.com", "outlook.com", "web.de", "163.com"]).to_owned(),
            };
            let mail = self.mail(domain);
            let home = match actor {
                Actor::Office => office,
                Actor::CarrierNat => carrier,
                _ => self.home_address(),
            };
            self.come(actor, &mail, home, &manners, &habit);
        }
    }

    fn come(&mut self, actor: Actor, mail: &Mail, home: IpAddr, manners: &Manners, habit: &Habit) {
        let reads_at = mail.delivered_at_ms + self.reading_delay(habit);
        match actor {
            Actor::Browser | Actor::CarrierNat => self.person(actor, mail, home, reads_at, habit, true),
            Actor::Office => {
                // Colleagues read what came in the morning within the same hour.
                let at = mail.delivered_at_ms + self.between(20 * SECOND, HOUR);
                self.person(actor, mail, home, at, habit, true);
            }
            Actor::TwoFastClicks => self.two_fast_clicks(mail, home, reads_at),
            Actor::Collector => self.collector(mail, home, reads_at),
            Actor::AppleProxy => {
                let at = mail.delivered_at_ms + self.between(2 * SECOND, 5 * HOUR);
                let ip = self.cloud(17, 248);
                self.hit(actor, Truth::Prefetch, mail, at, Target::Pixel, "Mozilla/5.0", ip);
                self.person(actor, mail, home, reads_at, habit, false);
            }
            Actor::GmailProxy => {
                let agent = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
                let ip = self.cloud(66, 249);
                let at = reads_at.max(mail.delivered_at_ms + 11 * SECOND);
                self.hit(actor, Truth::Proxy, mail, at, Target::Pixel, agent, ip);
                self.person(actor, mail, home, at, habit, false);
            }
            Actor::SafeLinks | Actor::Barracuda | Actor::DelayedBurst | Actor::DelayedSlow => {
                self.scan(actor, mail, manners);
                if self.chance(habit.after_scan) {
                    self.person(actor, mail, home, reads_at.max(mail.delivered_at_ms + 2 * MINUTE), habit, true);
                }
            }
            Actor::AtClick => {
                let (link, agent) = (self.between(0, mail.links), browser_agent(&mut self.rng));
                let ip = self.one_of(&manners.pool);
                let scanner = self.one_of(&manners.agents);
                self.hit(actor, Truth::Scanner, mail, reads_at, Target::Link(link), &scanner, ip);
                let later = self.between(50, 3 * SECOND);
                self.hit(actor, Truth::Person, mail, reads_at + later, Target::Link(link), &agent, home);
            }
            Actor::Preview => {
                let agent = self.one_of(&[
                    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
                    "TelegramBot (like TwitterBot)",
                    "WhatsApp/2.23.20.0",
                    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
                ]);
                let (link, ip) = (self.between(0, mail.links), self.cloud(31, 13));
                self.hit(actor, Truth::Scanner, mail, reads_at, Target::Link(link), agent, ip);
            }
        }
    }

    /// A person opens, then clicks none, one or a few links in his own time.
    fn person(&mut self, actor: Actor, mail: &Mail, ip: IpAddr, opens_at: i64, habit: &Habit, pixel: bool) {
        let agent = browser_agent(&mut self.rng);
        if pixel && self.chance(habit.shows_pictures) {
            self.hit(actor, Truth::Person, mail, opens_at, Target::Pixel, &agent, ip);
        }
        let mut at = opens_at;
        for _ in 0..self.one_of(&[0, 1, 1, 1, 2, 3]) {
            at += self.between(habit.fastest_ms, habit.slowest_ms);
            let link = self.between(0, mail.links);
            self.hit(actor, Truth::Person, mail, at, Target::Link(link), &agent, ip);
        }
    }

    fn two_fast_clicks(&mut self, mail: &Mail, ip: IpAddr, at: i64) {
        let agent = browser_agent(&mut self.rng);
        self.hit(Actor::TwoFastClicks, Truth::Person, mail, at, Target::Pixel, &agent, ip);
        let (first, gap) = (self.between(0, mail.links), self.between(120, 2 * SECOND));
        let second = if self.chance(0.4) { first } else { (first + 1) % mail.links };
        let at = at + self.between(SECOND, MINUTE);
        self.hit(Actor::TwoFastClicks, Truth::Person, mail, at, Target::Link(first), &agent, ip);
        self.hit(Actor::TwoFastClicks, Truth::Person, mail, at + gap, Target::Link(second), &agent, ip);
    }

    fn collector(&mut self, mail: &Mail, ip: IpAddr, opens_at: i64) {
        let agent = browser_agent(&mut self.rng);
        self.hit(Actor::Collector, Truth::Person, mail, opens_at, Target::Pixel, &agent, ip);
        let mut at = opens_at + self.between(SECOND, MINUTE);
        for link in 0..mail.links {
            self.hit(Actor::Collector, Truth::Person, mail, at, Target::Link(link), &agent, ip);
            at += self.between(600, 8 * SECOND);
        }
    }

    fn scan(&mut self, actor: Actor, mail: &Mail, manners: &Manners) {
        let mut at = mail.delivered_at_ms + self.between(manners.wait_ms.0, manners.wait_ms.1);
        let agent = self.one_of(&manners.agents);
        let mut targets: Vec<Target> = Vec::new();
        if self.chance(manners.pixel) {
            targets.push(Target::Pixel);
        }
        let hidden_at = self.between(0, mail.links + 1);
        for link in 0..=mail.links {
            if link == hidden_at && !manners.sees_styles {
                targets.push(Target::Hidden);
            }
            if link < mail.links && self.chance(manners.follows) {
                targets.push(Target::Link(link));
            }
        }
        for target in targets {
            let ip = self.one_of(&manners.pool);
            let head = self.chance(manners.head);
            self.hit(actor, Truth::Scanner, mail, at, target, &agent, ip);
            if let Some(hit) = self.hits.last_mut() {
                hit.head = head && target != Target::Pixel;
            }
            at += self.between(manners.step_ms.0, manners.step_ms.1);
        }
    }

    fn manners(&mut self, actor: Actor) -> Manners {
        let browsers: Vec<String> = (0..3).map(|_| browser_agent(&mut self.rng)).collect();
        let honest = ["", "python-requests/2.31.0", "Go-http-client/1.1", "curl/7.81.0", "Java/17.0.2", "okhttp/4.9.3"];
        // A cloud hands every request to another machine; an appliance has a few addresses side by side.
        let wide = self.chance(0.5);
        let (a, b, c) = (self.between(13, 104), self.between(1, 254), self.between(1, 254));
        let machines = self.between(2, 40);
        let pool = (0..machines)
            .map(|_| address(a, b, if wide { self.between(1, 254) } else { c }, self.between(1, 254)))
            .collect();
        let first = self.between(200, 4 * SECOND);
        let pace = self.between(20, 700);
        let base = Manners {
            pool,
            agents: browsers,
            head: 0.0,
            sees_styles: self.chance(0.3),
            pixel: self.rng.random_range(0.0..1.0),
            wait_ms: (first, first + self.between(SECOND, 30 * SECOND)),
            step_ms: (1, pace + 2),
            follows: 1.0,
        };
        match actor {
            Actor::SafeLinks => Manners { follows: self.rng.random_range(0.7..1.0), pixel: base.pixel * 0.5, ..base },
            Actor::Barracuda => {
                let honest = [self.one_of(&honest).to_owned(), self.one_of(&honest).to_owned()];
                let agents = if self.chance(0.5) { honest.to_vec() } else { base.agents.clone() };
                let head = if self.chance(0.5) { self.rng.random_range(0.3..1.0) } else { 0.0 };
                Manners { agents, head, pixel: 1.0, ..base }
            }
            Actor::DelayedBurst => {
                let from = self.between(2 * MINUTE, HOUR);
                Manners { wait_ms: (from, from + self.between(MINUTE, 4 * HOUR)), ..base }
            }
            Actor::DelayedSlow => {
                let from = self.between(2 * MINUTE, HOUR);
                let step = self.between(5 * SECOND, 2 * MINUTE);
                Manners {
                    wait_ms: (from, from + self.between(MINUTE, 4 * HOUR)),
                    step_ms: (SECOND, step),
                    follows: self.rng.random_range(0.3..1.0),
                    ..base
                }
            }
            _ => base,
        }
    }

    /// How the people of this seed are.
    fn habit(&mut self) -> Habit {
        let fastest_ms = self.between(700, 4 * SECOND);
        Habit {
            soonest_ms: self.between(6 * SECOND, MINUTE),
            usual_ms: self.between(10 * MINUTE, 12 * HOUR),
            shows_pictures: self.rng.random_range(0.3..1.0),
            fastest_ms,
            slowest_ms: fastest_ms + self.between(10 * SECOND, 5 * MINUTE),
            after_scan: self.rng.random_range(0.1..0.6),
        }
    }

    /// Most read within hours, a few at once, a few days later.
    fn reading_delay(&mut self, habit: &Habit) -> i64 {
        let spread: f64 = self.rng.random_range(0.000_1..1.0);
        habit.soonest_ms + (-spread.ln() * habit.usual_ms as f64) as i64
    }

    fn mail(&mut self, domain: String) -> Mail {
        self.mails += 1;
        Mail {
            message: self.mails,
            domain,
            delivered_at_ms: SENT_AT_MS + self.between(0, self.sending_ms.max(1)),
            links: self.between(2, 15),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a request has this many sides")]
    fn hit(&mut self, actor: Actor, truth: Truth, mail: &Mail, at_ms: i64, target: Target, agent: &str, ip: IpAddr) {
        let (mail, agent) = (mail.clone(), agent.to_owned());
        self.hits.push(Hit { mail, actor, truth, at_ms, target, head: false, agent, ip });
    }

    fn home_address(&mut self) -> IpAddr {
        address(self.between(77, 96), self.between(1, 254), self.between(1, 254), self.between(1, 254))
    }

    fn cloud(&mut self, a: i64, b: i64) -> IpAddr {
        address(a, b, self.between(1, 254), self.between(1, 254))
    }

    fn chance(&mut self, share: f64) -> bool {
        self.rng.random_range(0.0..1.0) < share
    }

    fn between(&mut self, from: i64, to: i64) -> i64 {
        self.rng.random_range(from..to.max(from + 1))
    }

    fn one_of<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.rng.random_range(0..of.len())].clone()
    }
}

struct Habit {
    soonest_ms: i64,
    usual_ms: i64,
    shows_pictures: f64,
    /// Between two clicks of one reader, in ms.
    fastest_ms: i64,
    slowest_ms: i64,
    /// The share of scanned mails whose reader comes too.
    after_scan: f64,
}

fn address(a: i64, b: i64, c: i64, d: i64) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a as u8, b as u8, c as u8, d as u8))
}

/// An agent of a browser people use.
fn browser_agent(rng: &mut StdRng) -> String {
    let major = rng.random_range(109..142);
    let system = ["Windows NT 10.0; Win64; x64", "Macintosh; Intel Mac OS X 10_15_7", "X11; Linux x86_64"];
    let system = system[rng.random_range(0..system.len())];
    match rng.random_range(0..5) {
        0 => format!("Mozilla/5.0 ({system}; rv:{major}.0) Gecko/20100101 Firefox/{major}.0"),
        1 => format!(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
             Version/17.{} Mobile/15E148 Safari/604.1",
            rng.random_range(0..7),
            rng.random_range(0..7)
        ),
        2 => format!(
            "Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Mobile Safari/537.36"
        ),
        3 => format!(
            "Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36 Edg/{major}.0.0.0"
        ),
        _ => {
            format!("Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0 Safari/537.36")
        }
    }
}
