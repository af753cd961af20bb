//! The members of the sample shop: invented people of three countries.

use super::dice::Dice;
use super::goods::{MARKETS, SORTS};

/// A name as it is written and as it stands in an address.
type Name = (&'static str, &'static str);

const ZH_LAST: &[Name] = &[
    ("李", "li"),
    ("王", "wang"),
    ("张", "zhang"),
    ("刘", "liu"),
    ("陈", "chen"),
    ("杨", "yang"),
    ("赵", "zhao"),
    ("黄", "huang"),
    ("周", "zhou"),
    ("吴", "wu"),
    ("徐", "xu"),
    ("孙", "sun"),
    ("胡", "hu"),
    ("朱", "zhu"),
    ("高", "gao"),
    ("林", "lin"),
    ("何", "he"),
    ("郭", "guo"),
    ("马", "ma"),
    ("罗", "luo"),
    ("梁", "liang"),
    ("宋", "song"),
    ("郑", "zheng"),
    ("谢", "xie"),
];
const ZH_FIRST: &[Name] = &[
    ("伟", "wei"),
    ("芳", "fang"),
    ("娜", "na"),
    ("敏", "min"),
    ("静", "jing"),
    ("磊", "lei"),
    ("洋", "yang"),
    ("艳", "yan"),
    ("晓明", "xiaoming"),
    ("建国", "jianguo"),
    ("雨桐", "yutong"),
    ("梓涵", "zihan"),
    ("浩然", "haoran"),
    ("思远", "siyuan"),
    ("嘉怡", "jiayi"),
    ("文博", "wenbo"),
    ("雪梅", "xuemei"),
    ("志强", "zhiqiang"),
    ("丽华", "lihua"),
    ("欣然", "xinran"),
    ("子轩", "zixuan"),
    ("美玲", "meiling"),
    ("天宇", "tianyu"),
    ("佳琪", "jiaqi"),
];
const RU_MEN: &[Name] = &[
    ("Александр", "alexander"),
    ("Дмитрий", "dmitry"),
    ("Сергей", "sergey"),
    ("Андрей", "andrey"),
    ("Алексей", "alexey"),
    ("Максим", "maxim"),
    ("Иван", "ivan"),
    ("Михаил", "mikhail"),
    ("Никита", "nikita"),
    ("Павел", "pavel"),
    ("Олег", "oleg"),
    ("Роман", "roman"),
];
const RU_WOMEN: &[Name] = &[
    ("Анна", "anna"),
    ("Мария", "maria"),
    ("Елена", "elena"),
    ("Ольга", "olga"),
    ("Наталья", "natalya"),
    ("Татьяна", "tatyana"),
    ("Ирина", "irina"),
    ("Екатерина", "ekaterina"),
    ("Светлана", "svetlana"),
    ("Юлия", "yulia"),
    ("Дарья", "darya"),
    ("Ксения", "ksenia"),
];
/// Family names that take an `а` for women.
const RU_LAST: &[Name] = &[
    ("Иванов", "ivanov"),
    ("Смирнов", "smirnov"),
    ("Кузнецов", "kuznetsov"),
    ("Попов", "popov"),
    ("Васильев", "vasilev"),
    ("Петров", "petrov"),
    ("Соколов", "sokolov"),
    ("Михайлов", "mikhailov"),
    ("Новиков", "novikov"),
    ("Фёдоров", "fedorov"),
    ("Морозов", "morozov"),
    ("Волков", "volkov"),
    ("Лебедев", "lebedev"),
    ("Семёнов", "semenov"),
    ("Егоров", "egorov"),
    ("Павлов", "pavlov"),
    ("Козлов", "kozlov"),
    ("Степанов", "stepanov"),
    ("Орлов", "orlov"),
    ("Макаров", "makarov"),
    ("Захаров", "zakharov"),
    ("Зайцев", "zaitsev"),
    ("Голубев", "golubev"),
    ("Виноградов", "vinogradov"),
];
const EN_FIRST: &[Name] = &[
    ("Emma", "emma"),
    ("Oliver", "oliver"),
    ("Hannah", "hannah"),
    ("James", "james"),
    ("Sophie", "sophie"),
    ("Liam", "liam"),
    ("Clara", "clara"),
    ("Noah", "noah"),
    ("Grace", "grace"),
    ("Lucas", "lucas"),
    ("Nora", "nora"),
    ("Henry", "henry"),
    ("Ella", "ella"),
    ("Samuel", "samuel"),
    ("Ruby", "ruby"),
    ("Daniel", "daniel"),
    ("Alice", "alice"),
    ("Thomas", "thomas"),
    ("Freya", "freya"),
    ("Oscar", "oscar"),
    ("Maeve", "maeve"),
    ("Finn", "finn"),
    ("Zoë", "zoe"),
    ("René", "rene"),
];
const EN_LAST: &[Name] = &[
    ("Walker", "walker"),
    ("Bennett", "bennett"),
    ("Hughes", "hughes"),
    ("Carter", "carter"),
    ("Murphy", "murphy"),
    ("Kelly", "kelly"),
    ("Becker", "becker"),
    ("Jansen", "jansen"),
    ("Fischer", "fischer"),
    ("Novak", "novak"),
    ("O'Brien", "obrien"),
    ("Reid", "reid"),
    ("Palmer", "palmer"),
    ("Shaw", "shaw"),
    ("Lindqvist", "lindqvist"),
    ("Meyer", "meyer"),
    ("Dubois", "dubois"),
    ("Rossi", "rossi"),
    ("Nowak", "nowak"),
    ("Müller", "mueller"),
    ("Holm", "holm"),
    ("Byrne", "byrne"),
    ("Stone", "stone"),
    ("Ward", "ward"),
];

/// A city with its zone and its hours from UTC.
type City = (&'static str, &'static str, i64);

const ZH_CITIES: &[City] = &[
    ("上海", "Asia/Shanghai", 8),
    ("北京", "Asia/Shanghai", 8),
    ("青岛", "Asia/Shanghai", 8),
    ("成都", "Asia/Shanghai", 8),
    ("广州", "Asia/Shanghai", 8),
    ("杭州", "Asia/Shanghai", 8),
    ("乌鲁木齐", "Asia/Urumqi", 6),
];
const RU_CITIES: &[City] = &[
    ("Москва", "Europe/Moscow", 3),
    ("Санкт-Петербург", "Europe/Moscow", 3),
    ("Казань", "Europe/Moscow", 3),
    ("Екатеринбург", "Asia/Yekaterinburg", 5),
    ("Новосибирск", "Asia/Novosibirsk", 7),
    ("Владивосток", "Asia/Vladivostok", 10),
];
const EN_CITIES: &[City] = &[
    ("London", "Europe/London", 0),
    ("Dublin", "Europe/Dublin", 0),
    ("Berlin", "Europe/Berlin", 1),
    ("Amsterdam", "Europe/Amsterdam", 1),
    ("Copenhagen", "Europe/Copenhagen", 1),
];
/// Mail domains nobody has: `example` is reserved (RFC 2606).
const DOMAINS: [[&str; 3]; 3] = [
    ["mail.example", "youxiang.example", "yunpost.example"],
    ["mail.example", "pochta.example", "yashchik.example"],
    ["mail.example", "inbox.example", "letters.example"],
];
const DAY_MS: i64 = 86_400_000;

/// How much somebody looks around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeal {
    Quiet,
    Casual,
    Keen,
}

/// One member, with what the files do not say: whom to let do what.
pub struct Person {
    pub email: String,
    pub external_id: String,
    pub first_name: &'static str,
    pub last_name: String,
    pub locale: &'static str,
    pub city: &'static str,
    pub zone: &'static str,
    pub utc_hours: i64,
    /// The market's place in [`MARKETS`].
    pub market: usize,
    pub topics: &'static str,
    pub points: i64,
    pub household: i64,
    pub joined_at_ms: i64,
    pub zeal: Zeal,
    /// Sorts of appliances cared for, the dearest first.
    pub interests: Vec<usize>,
}

/// The `n`th member.
pub fn person(seed: u64, n: usize, now_ms: i64) -> Person {
    let mut dice = Dice::new(seed, 1_000_000 + n as u64);
    let market = dice.weighted(&[2.0, 1.5, 1.5]);
    let (locale, cities) = [("zh-CN", ZH_CITIES), ("ru", RU_CITIES), ("en", EN_CITIES)][market];
    let (first, last_name, last_latin) = name(&mut dice, market);
    let (city, zone, utc_hours) = *dice.pick(cities);
    let separator = *dice.pick(&[".", "", "_"]);
    let email = format!("{}{separator}{last_latin}{}@{}", first.1, n + 1, dice.pick(&DOMAINS[market]));
    let zeal = [Zeal::Quiet, Zeal::Casual, Zeal::Keen][dice.weighted(&[0.25, 0.5, 0.25])];
    let appeals: Vec<f64> = SORTS.iter().map(|sort| sort.appeal).collect();
    let mut interests: Vec<usize> = (0..dice.between(1, 3)).map(|_| dice.weighted(&appeals)).collect();
    interests.dedup();
    let points = match zeal {
        Zeal::Quiet => dice.between(0, 400),
        Zeal::Casual => dice.between(50, 2500),
        Zeal::Keen => dice.between(600, 9000),
    };
    Person {
        email,
        external_id: format!("{}{:06}", MARKETS[market].code.to_uppercase(), 100_000 + n),
        first_name: first.0,
        last_name,
        locale,
        city,
        zone,
        utc_hours,
        market,
        topics: ["offers;news", "offers", "news", ""][dice.weighted(&[0.84, 0.08, 0.04, 0.04])],
        points,
        household: dice.between(1, 5),
        joined_at_ms: now_ms - dice.between(40, 1000) * DAY_MS,
        zeal,
        interests,
    }
}

fn name(dice: &mut Dice, market: usize) -> (Name, String, String) {
    let plain = |(text, latin): Name| (text.to_owned(), latin.to_owned());
    match market {
        0 => {
            let (text, latin) = plain(*dice.pick(ZH_LAST));
            (*dice.pick(ZH_FIRST), text, latin)
        }
        1 => {
            let (text, latin) = plain(*dice.pick(RU_LAST));
            match dice.chance(0.5) {
                true => (*dice.pick(RU_WOMEN), text + "а", latin + "a"),
                false => (*dice.pick(RU_MEN), text, latin),
            }
        }
        _ => {
            let (text, latin) = plain(*dice.pick(EN_LAST));
            (*dice.pick(EN_FIRST), text, latin)
        }
    }
}
