//! What the sample shop sells: sixteen kinds of home appliances under four invented brands, in three markets.

use super::dice::Dice;

/// A market: its language, its money, and how its prices are rounded to look like prices.
pub struct Market {
    pub code: &'static str,
    pub currency: &'static str,
    /// Units of its currency for one euro, as shops price rather than as banks do.
    rate: f64,
    step: i64,
    ending: i64,
}

pub const MARKETS: [Market; 3] = [
    Market { code: "cn", currency: "CNY", rate: 6.4, step: 100, ending: 99 },
    Market { code: "ru", currency: "RUB", rate: 95.0, step: 1000, ending: 990 },
    Market { code: "eu", currency: "EUR", rate: 1.0, step: 10, ending: 9 },
];

/// A brand: the letter it has in a sku, and how dear it is.
struct Brand {
    name: &'static str,
    letter: char,
    factor: f64,
}

const BRANDS: [Brand; 4] = [
    Brand { name: "Lindmar", letter: 'L', factor: 0.75 },
    Brand { name: "Norrvik", letter: 'N', factor: 1.0 },
    Brand { name: "Pamira", letter: 'P', factor: 1.2 },
    Brand { name: "Aurelle", letter: 'A', factor: 1.9 },
];

/// A kind of appliance.
pub struct Sort {
    /// The three letters it has in a sku.
    pub code: &'static str,
    pub category: &'static str,
    series: &'static str,
    /// Its name in Chinese, Russian and English.
    nouns: [&'static str; 3],
    /// What distinguishes its models, in the same languages.
    variants: &'static [[&'static str; 3]],
    /// Price in euros of an ordinary one.
    euros: f64,
    numbers: (i64, i64),
    /// How much people care for it.
    pub appeal: f64,
    /// How much more in each month, January first.
    pub season: [f64; 12],
    /// Bought once in years.
    pub lasting: bool,
}

const EVEN: [f64; 12] = [1.0; 12];
const SUMMER: [f64; 12] = [0.3, 0.3, 0.5, 0.9, 1.8, 2.6, 2.8, 1.9, 0.7, 0.4, 0.4, 0.4];
const WINTER: [f64; 12] = [1.7, 1.4, 1.1, 0.7, 0.5, 0.4, 0.4, 0.6, 1.0, 1.5, 1.9, 1.9];
const GIFTS: [f64; 12] = [0.9, 1.1, 1.0, 0.8, 0.9, 1.0, 0.7, 0.8, 0.9, 1.0, 1.9, 2.2];

macro_rules! sorts {
    ($($code:literal $category:literal $series:literal [$zh:literal, $ru:literal, $en:literal] $euros:literal
       $numbers:expr, $appeal:literal, $season:ident, $lasting:literal: $($variant:expr),+;)+) => {
        pub const SORTS: &[Sort] = &[$(Sort {
            code: $code, category: $category, series: $series, nouns: [$zh, $ru, $en], variants: &[$($variant),+],
            euros: $euros, numbers: $numbers, appeal: $appeal, season: $season, lasting: $lasting,
        }),+];
    };
}

sorts! {
    "RFG" "kitchen/refrigerator" "Frost" ["冰箱", "Холодильник", "refrigerator"] 690.0 (26, 62), 3.0, EVEN, true:
        ["法式多门", "French Door", "french-door"], ["对开门", "Side-by-Side", "side-by-side"], ["两门", "двухкамерный", "two-door"];
    "FRZ" "kitchen/freezer" "Polar" ["冷柜", "Морозильник", "freezer"] 420.0 (14, 36), 0.8, SUMMER, true:
        ["立式", "вертикальный", "upright"], ["卧式", "ларь", "chest"];
    "DSH" "kitchen/dishwasher" "Clara" ["洗碗机", "Посудомоечная машина", "dishwasher"] 540.0 (8, 16), 1.6, EVEN, true:
        ["嵌入式", "встраиваемая", "built-in"], ["独立式", "отдельностоящая", "freestanding"], ["台式", "настольная", "tabletop"];
    "OVN" "kitchen/oven" "Ember" ["嵌入式烤箱", "Духовой шкаф", "oven"] 480.0 (45, 76), 1.0, WINTER, true:
        ["蒸烤一体", "с паром", "steam"], ["热风对流", "с конвекцией", "convection"];
    "HOB" "kitchen/hob" "Flame" ["灶具", "Варочная панель", "hob"] 310.0 (2, 5), 0.9, EVEN, true:
        ["电磁", "индукционная", "induction"], ["燃气", "газовая", "gas"];
    "HOD" "kitchen/range-hood" "Breeze" ["吸油烟机", "Вытяжка", "range hood"] 290.0 (60, 90), 1.0, EVEN, true:
        ["侧吸式", "наклонная", "angled"], ["顶吸式", "купольная", "chimney"];
    "MWV" "kitchen/microwave" "Quick" ["微波炉", "Микроволновая печь", "microwave"] 130.0 (20, 32), 1.1, EVEN, false:
        ["变频", "инверторная", "inverter"], ["平板", "без поворотного стола", "flatbed"];
    "KTL" "kitchen/kettle" "Brook" ["电水壶", "Электрочайник", "kettle"] 49.0 (10, 20), 1.5, GIFTS, false:
        ["恒温", "с терморегулятором", "variable-temperature"], ["玻璃", "стеклянный", "glass"];
    "COF" "kitchen/coffee-machine" "Crema" ["咖啡机", "Кофемашина", "coffee machine"] 390.0 (3, 9), 1.8, GIFTS, false:
        ["全自动", "автоматическая", "bean-to-cup"], ["半自动", "рожковая", "espresso"];
    "WSH" "laundry/washer" "Wave" ["洗衣机", "Стиральная машина", "washing machine"] 520.0 (7, 12), 2.6, EVEN, true:
        ["滚筒", "с фронтальной загрузкой", "front-load"], ["超薄滚筒", "узкая", "slim"], ["波轮", "с вертикальной загрузкой", "top-load"];
    "DRY" "laundry/dryer" "Dune" ["干衣机", "Сушильная машина", "dryer"] 640.0 (8, 11), 1.1, WINTER, true:
        ["热泵", "с тепловым насосом", "heat-pump"], ["冷凝", "конденсационная", "condenser"];
    "ACN" "climate/air-conditioner" "Alta" ["空调", "Кондиционер", "air conditioner"] 560.0 (9, 24), 2.4, SUMMER, true:
        ["变频挂机", "инверторный", "inverter wall"], ["立式柜机", "колонный", "floor-standing"], ["移动", "мобильный", "portable"];
    "APR" "climate/air-purifier" "Leaf" ["空气净化器", "Очиститель воздуха", "air purifier"] 220.0 (20, 60), 1.2, WINTER, false:
        ["除甲醛", "с угольным фильтром", "carbon-filter"], ["静音", "тихий", "quiet"];
    "WTH" "climate/water-heater" "Spring" ["热水器", "Водонагреватель", "water heater"] 270.0 (50, 100), 1.0, WINTER, true:
        ["储水式", "накопительный", "storage"], ["即热式", "проточный", "instant"];
    "VAC" "home/vacuum-cleaner" "Gale" ["无线吸尘器", "Беспроводной пылесос", "cordless vacuum"] 260.0 (10, 30), 1.5, GIFTS, false:
        ["手持", "ручной", "stick"], ["洗地", "моющий", "wet-and-dry"];
    "RBT" "home/robot-vacuum" "Orbit" ["扫地机器人", "Робот-пылесос", "robot vacuum"] 380.0 (3, 12), 1.9, GIFTS, false:
        ["扫拖一体", "с влажной уборкой", "mopping"], ["自集尘", "с самоочисткой", "self-emptying"];
}

/// One product of one market.
pub struct Product {
    pub sku: String,
    pub name: String,
    /// Its sort's place in [`SORTS`].
    pub sort: usize,
    pub brand: &'static str,
    /// Minor units of the market's currency.
    pub price_minor: i64,
    /// `None`: not counted.
    pub stock: Option<i64>,
    /// How much likelier than others it is looked at.
    pub appeal: f64,
}

/// Models of each sort.
const MODELS: usize = 7;

/// The products of market `market`, by sort.
pub fn products(seed: u64, market: usize) -> Vec<Product> {
    let mut products = Vec::with_capacity(SORTS.len() * MODELS);
    for (at, sort) in SORTS.iter().enumerate() {
        for model in 0..MODELS {
            // The same dice in each market: it is the same model, named and priced anew.
            let mut dice = Dice::new(seed, (at * 100 + model) as u64);
            products.push(product(&mut dice, at, sort, model, market));
        }
    }
    products
}

fn product(dice: &mut Dice, at: usize, sort: &Sort, model: usize, market: usize) -> Product {
    let brand = &BRANDS[(model + at) % BRANDS.len()];
    let variant = sort.variants[model % sort.variants.len()][market];
    let (low, high) = sort.numbers;
    let number = (low + (high - low) * model as i64 / (MODELS as i64 - 1)) * 10 + dice.between(0, 9);
    let dearer = 0.8 + 0.6 * model as f64 / MODELS as f64 + 0.15 * dice.fraction();
    let place = &MARKETS[market];
    let units = sort.euros * brand.factor * dearer * place.rate;
    let price =
        (((units / place.step as f64).round() as i64) * place.step + place.ending - place.step).max(place.ending);
    let (title, noun) = (format!("{} {} {number}", brand.name, sort.series), sort.nouns[market]);
    let name = match place.code {
        "cn" => format!("{title} {variant}{noun}"),
        "ru" => format!("{noun} {title}, {variant}"),
        _ => format!("{title} {variant} {noun}"),
    };
    let stock = match dice.fraction() {
        ..0.06 => Some(0),
        0.06..0.16 => None,
        _ => Some(dice.between(2, 180)),
    };
    let sku = format!("{}-{}{number}-{}", sort.code, brand.letter, place.code.to_uppercase());
    let appeal = [1.0, 1.6, 1.0, 0.7, 2.2, 0.9, 0.5][model] * (0.7 + 0.6 * dice.fraction());
    Product { sku, name, sort: at, brand: brand.name, price_minor: price * 100, stock, appeal }
}
