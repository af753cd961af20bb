//! Pictures of the sample shop's products: flat drawings in SVG, one per sort of appliance, coloured by brand.

use super::goods::SORTS;

/// The picture of a product by its sku (`RFG-N420-CN`): 480 by 480, a neutral background. `None` for a sku that is
/// none of ours. Mail clients mostly refuse SVG; the pages of the demonstration show it.
pub fn picture(sku: &str) -> Option<String> {
    let (code, model) = sku.split_once('-')?;
    let sort = SORTS.iter().find(|sort| sort.code == code)?;
    let (body, accent) = match model.chars().next()? {
        'L' => ("#f7f8fa", "#2f6fb0"),
        'N' => ("#dfe4e8", "#1d7a6b"),
        'P' => ("#f3e9dc", "#b4552d"),
        'A' => ("#4a4f57", "#c9a24b"),
        _ => return None,
    };
    let (_, drawing) = DRAWINGS.iter().find(|(known, _)| *known == code)?;
    let drawing = drawing.replace("{b}", body).replace("{a}", accent);
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 480 480\" width=\"480\" height=\"480\" role=\"img\">\
         <title>{}</title><rect width=\"480\" height=\"480\" fill=\"#eef0f2\"/>\
         <ellipse cx=\"240\" cy=\"420\" rx=\"150\" ry=\"14\" fill=\"#d7dbdf\"/>\
         <g stroke=\"#3a4048\" stroke-width=\"3\" stroke-linejoin=\"round\" stroke-linecap=\"round\">{drawing}</g></svg>",
        sort.category.rsplit('/').next().unwrap_or_default(),
    ))
}

/// A drawing for each sort's code; `{b}` is the body's colour, `{a}` the brand's.
const DRAWINGS: &[(&str, &str)] = &[
    (
        "RFG",
        r##"<rect x="140" y="60" width="200" height="355" rx="10" fill="{b}"/><path d="M240 60v210M140 270h200" fill="none"/>
            <path d="M228 150v80M252 150v80M200 295h80" stroke="{a}" stroke-width="8"/><rect x="165" y="110" width="40" height="56" rx="6" fill="#2b3038"/>"##,
    ),
    (
        "FRZ",
        r##"<rect x="110" y="190" width="260" height="220" rx="10" fill="{b}"/><path d="M110 190l14-34h232l14 34z" fill="{b}"/>
            <path d="M205 205h70" stroke="{a}" stroke-width="9"/><path d="M240 270v80M205 290l70 40M275 290l-70 40" stroke="{a}" stroke-width="6"/>"##,
    ),
    (
        "DSH",
        r##"<rect x="120" y="120" width="240" height="295" rx="8" fill="{b}"/><path d="M120 175h240" fill="none"/><circle cx="150" cy="148" r="9" fill="{a}"/>
            <path d="M230 148h90" stroke="{a}" stroke-width="7"/><path d="M185 205h110" stroke-width="8"/><rect x="150" y="235" width="180" height="150" rx="6" fill="none"/>
            <path d="M180 360a28 28 0 0 1 56 0M245 360a28 28 0 0 1 56 0" fill="none" stroke="{a}" stroke-width="5"/>"##,
    ),
    (
        "OVN",
        r##"<rect x="100" y="130" width="280" height="280" rx="10" fill="{b}"/><path d="M100 190h280" fill="none"/><circle cx="140" cy="160" r="13" fill="{a}"/>
            <circle cx="340" cy="160" r="13" fill="{a}"/><rect x="195" y="146" width="90" height="28" rx="4" fill="#2b3038"/>
            <path d="M135 212h210" stroke-width="9"/><rect x="130" y="235" width="220" height="150" rx="8" fill="#2b3038"/><path d="M150 330h180M150 350h180" stroke="{a}"/>"##,
    ),
    (
        "HOB",
        r##"<path d="M100 400l40-180h200l40 180z" fill="#2b3038"/><g fill="none" stroke="{a}" stroke-width="6"><ellipse cx="195" cy="270" rx="34" ry="18"/>
            <ellipse cx="290" cy="270" rx="28" ry="15"/><ellipse cx="180" cy="340" rx="40" ry="22"/><ellipse cx="300" cy="340" rx="46" ry="25"/></g>
            <rect x="205" y="378" width="70" height="10" rx="5" fill="{b}"/>"##,
    ),
    (
        "HOD",
        r##"<rect x="195" y="60" width="90" height="170" fill="{b}"/><path d="M195 230h90l75 90H120z" fill="{b}"/><rect x="110" y="320" width="260" height="36" rx="6" fill="{b}"/>
            <path d="M205 338h70" stroke="{a}" stroke-width="8"/><path d="M170 375v30M240 375v30M310 375v30" stroke="#9aa3ad" stroke-dasharray="3 9"/>"##,
    ),
    (
        "MWV",
        r##"<rect x="80" y="190" width="320" height="210" rx="12" fill="{b}"/><rect x="105" y="215" width="195" height="160" rx="8" fill="#2b3038"/>
            <path d="M312 225v140" stroke-width="9"/><rect x="332" y="220" width="48" height="28" rx="4" fill="#2b3038"/><circle cx="356" cy="290" r="17" fill="{a}"/>
            <path d="M336 340h40" stroke="{a}" stroke-width="8"/><ellipse cx="202" cy="345" rx="60" ry="10" fill="none" stroke="{a}"/>"##,
    ),
    (
        "KTL",
        r##"<path d="M165 200h130l28 190a18 18 0 0 1-18 20H155a18 18 0 0 1-18-20z" fill="{b}"/><path d="M165 200l-42 26 26 30" fill="{b}"/>
            <path d="M295 215c75-10 75 130 20 140" fill="none" stroke="{a}" stroke-width="16"/><path d="M170 200c10-45 110-45 120 0z" fill="{b}"/>
            <circle cx="230" cy="158" r="10" fill="{a}"/><path d="M230 270v90" stroke="{a}" stroke-width="8"/>"##,
    ),
    (
        "COF",
        r##"<rect x="130" y="110" width="220" height="300" rx="14" fill="{b}"/><rect x="160" y="230" width="160" height="150" rx="8" fill="#2b3038"/>
            <rect x="160" y="140" width="100" height="50" rx="6" fill="#2b3038"/><circle cx="305" cy="165" r="17" fill="{a}"/><path d="M222 230v30h36v-30" fill="{b}"/>
            <path d="M205 305h70v30a35 30 0 0 1-70 0z" fill="#fff"/><path d="M275 312c26 0 26 30 0 30" fill="none" stroke="#fff" stroke-width="6"/><path d="M240 268v28" stroke="{a}" stroke-width="5"/>"##,
    ),
    (
        "WSH",
        r##"<rect x="115" y="95" width="250" height="320" rx="10" fill="{b}"/><path d="M115 165h250" fill="none"/><rect x="135" y="115" width="80" height="32" rx="4" fill="none"/>
            <circle cx="330" cy="131" r="14" fill="{a}"/><circle cx="240" cy="285" r="92" fill="#c5cbd1"/><circle cx="240" cy="285" r="68" fill="#2b3038"/>
            <path d="M180 300c30-26 60 26 120 0" fill="none" stroke="{a}" stroke-width="8"/>"##,
    ),
    (
        "DRY",
        r##"<rect x="115" y="95" width="250" height="320" rx="10" fill="{b}"/><path d="M115 165h250" fill="none"/><rect x="255" y="115" width="90" height="32" rx="4" fill="#2b3038"/>
            <circle cx="150" cy="131" r="14" fill="{a}"/><circle cx="240" cy="285" r="92" fill="#c5cbd1"/><circle cx="240" cy="285" r="68" fill="#fff"/>
            <path d="M210 325c-16-26 16-40 0-70M240 325c-16-26 16-40 0-70M270 325c-16-26 16-40 0-70" fill="none" stroke="{a}" stroke-width="7"/>"##,
    ),
    (
        "ACN",
        r##"<rect x="60" y="150" width="360" height="115" rx="16" fill="{b}"/><path d="M60 228h360" fill="none"/><rect x="85" y="240" width="310" height="12" rx="6" fill="#2b3038"/>
            <rect x="330" y="175" width="62" height="26" rx="5" fill="#2b3038"/><circle cx="90" cy="188" r="8" fill="{a}"/>
            <path d="M130 290c-20 30 20 50 0 85M240 290c-20 30 20 50 0 85M350 290c-20 30 20 50 0 85" fill="none" stroke="{a}" stroke-width="7"/>"##,
    ),
    (
        "APR",
        r##"<rect x="150" y="100" width="180" height="310" rx="26" fill="{b}"/><ellipse cx="240" cy="124" rx="66" ry="14" fill="#2b3038"/><circle cx="240" cy="200" r="34" fill="none" stroke="{a}" stroke-width="8"/>
            <path d="M240 216c-18-8-18-28 10-34 6 22-2 32-10 34z" fill="{a}"/><path d="M180 280h120M180 305h120M180 330h120M180 355h120" stroke="#9aa3ad" stroke-width="6"/>"##,
    ),
    (
        "WTH",
        r##"<rect x="150" y="70" width="180" height="300" rx="40" fill="{b}"/><circle cx="240" cy="180" r="36" fill="#2b3038"/><path d="M240 180l18-18" stroke="{a}" stroke-width="6"/>
            <rect x="205" y="260" width="70" height="28" rx="6" fill="{a}"/><path d="M200 370v44" stroke="#3f7fc4" stroke-width="10"/><path d="M280 370v44" stroke="#c4503f" stroke-width="10"/>"##,
    ),
    (
        "VAC",
        r##"<path d="M300 90l-90 270" stroke="#9aa3ad" stroke-width="14"/><path d="M290 60l46 16-34 98-46-16z" fill="{b}"/><circle cx="312" cy="96" r="20" fill="{a}"/>
            <path d="M336 76c40 20 30 70-10 84" fill="none" stroke-width="10"/><path d="M140 385l14-34h120l14 34v22H140z" fill="{b}"/><path d="M160 396h108" stroke="{a}" stroke-width="7"/>"##,
    ),
    (
        "RBT",
        r##"<ellipse cx="240" cy="345" rx="160" ry="62" fill="{b}"/><path d="M80 345v24c0 34 72 56 160 56s160-22 160-56v-24" fill="{b}"/><ellipse cx="240" cy="345" rx="160" ry="62" fill="{b}"/>
            <ellipse cx="240" cy="335" rx="46" ry="18" fill="#2b3038"/><ellipse cx="240" cy="331" rx="26" ry="9" fill="{a}"/><path d="M205 392h70" stroke="{a}" stroke-width="8"/>"##,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sort_has_a_picture_and_a_stranger_none() {
        for sort in SORTS {
            for letter in ['L', 'N', 'P', 'A'] {
                let svg = picture(&format!("{}-{letter}420-CN", sort.code)).unwrap();
                assert!(
                    svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("{a}") && !svg.contains("{b}")
                );
                assert_eq!(svg.matches('<').count(), svg.matches('>').count());
            }
        }
        assert_eq!(picture("XXX-N420-CN"), None);
        assert_eq!(picture("RFG"), None);
        assert_eq!(picture("RFG-"), None);
    }
}
