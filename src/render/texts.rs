//! The words the house itself puts into mails, in the languages it knows.

use std::collections::BTreeMap;

use crate::domain::recommend::Why;

use super::numbers::Lang;

/// Why products are shown, for their readers: as the template's `[texts]` say it under `reason_viewed`, …, else as the
/// house does.
#[derive(Debug, Default)]
pub struct Reasons(Vec<String>);

impl Reasons {
    pub fn new(texts: &BTreeMap<String, String>, lang: Lang) -> Reasons {
        let said = |why: &Why| texts.get(&format!("reason_{why}")).map_or_else(|| reason(*why, lang), String::as_str);
        Reasons(Why::ALL.iter().map(|why| said(why).to_owned()).collect())
    }

    pub fn of(&self, why: Why) -> &str {
        self.0.get(why as usize).map_or("", String::as_str)
    }
}

fn reason(why: Why, lang: Lang) -> &'static str {
    match (why, lang) {
        (Why::Viewed, Lang::En) => "You looked at this",
        (Why::Viewed, Lang::Ru) => "Вы это смотрели",
        (Why::Viewed, Lang::Zh) => "您最近浏览过",
        (Why::Interest, Lang::En) => "Matches your interests",
        (Why::Interest, Lang::Ru) => "По вашим интересам",
        (Why::Interest, Lang::Zh) => "根据您的兴趣推荐",
        (Why::Brand, Lang::En) => "From a brand you like",
        (Why::Brand, Lang::Ru) => "Ваш любимый бренд",
        (Why::Brand, Lang::Zh) => "您喜欢的品牌",
        (Why::Bought, Lang::En) => "Goes well with what you bought",
        (Why::Bought, Lang::Ru) => "Подходит к вашей покупке",
        (Why::Bought, Lang::Zh) => "与您购买的商品搭配",
        (Why::Alike, Lang::En) => "Seen together with what you looked at",
        (Why::Alike, Lang::Ru) => "Смотрят вместе с тем, что вы смотрели",
        (Why::Alike, Lang::Zh) => "浏览过相似商品的人也在看",
        (Why::Next, Lang::En) => "Often the next choice after yours",
        (Why::Next, Lang::Ru) => "Часто выбирают следом за вашей покупкой",
        (Why::Next, Lang::Zh) => "购买同类商品后的常见之选",
        (Why::Again, Lang::En) => "You bought this before",
        (Why::Again, Lang::Ru) => "Вы это уже покупали",
        (Why::Again, Lang::Zh) => "您曾购买过",
        (Why::Engine, Lang::En) => "Chosen for you",
        (Why::Engine, Lang::Ru) => "Подобрано для вас",
        (Why::Engine, Lang::Zh) => "为您挑选",
        (Why::Suite, Lang::En) => "From the same suite",
        (Why::Suite, Lang::Ru) => "Из той же серии",
        (Why::Suite, Lang::Zh) => "同系列套装",
        (Why::Successor, Lang::En) => "The new model of what you know",
        (Why::Successor, Lang::Ru) => "Новая модель знакомой вам техники",
        (Why::Successor, Lang::Zh) => "您熟悉产品的新一代",
        (Why::Points, Lang::En) => "Your points pay for it",
        (Why::Points, Lang::Ru) => "Хватит ваших баллов",
        (Why::Points, Lang::Zh) => "您的积分即可兑换",
        (Why::Explore, Lang::En) => "Something different",
        (Why::Explore, Lang::Ru) => "Кое-что новенькое",
        (Why::Explore, Lang::Zh) => "换个新鲜",
        (Why::Category, Lang::En) => "Popular in its category",
        (Why::Category, Lang::Ru) => "Хит категории",
        (Why::Category, Lang::Zh) => "同类热销",
        (Why::Popular, Lang::En) => "Popular right now",
        (Why::Popular, Lang::Ru) => "Сейчас популярно",
        (Why::Popular, Lang::Zh) => "人气热销",
        (Why::New, Lang::En) => "New in",
        (Why::New, Lang::Ru) => "Новинка",
        (Why::New, Lang::Zh) => "新品上市",
        (Why::Pinned, Lang::En) => "Our choice for you",
        (Why::Pinned, Lang::Ru) => "Наш выбор для вас",
        (Why::Pinned, Lang::Zh) => "精选推荐",
    }
}

/// What stands on the unsubscribe link that a text part gets where its author wrote none.
pub fn unsubscribe(lang: Lang) -> &'static str {
    match lang {
        Lang::En => "Unsubscribe",
        Lang::Ru => "Отписаться",
        Lang::Zh => "退订",
    }
}
