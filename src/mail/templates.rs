//! The texts of letters, compiled in: `templates/*.txt` and `.html`.
//!
//! The first line of a text is the letter's subject. Whatever is put into HTML is escaped, and a template that asks for
//! what it is not given fails.

use minijinja::{Environment, Error, UndefinedBehavior, Value, context};

use super::House;
use super::letter::{Letter, Line};
use super::money::money;

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("templates/", $name)))),+]
    };
}

const FILES: [(&str, &str); 14] = files![
    "layout.html",
    "lines.html",
    "lines.txt",
    "footer.txt",
    "welcome.html",
    "welcome.txt",
    "order_placed.html",
    "order_placed.txt",
    "order_paid.html",
    "order_paid.txt",
    "order_shipped.html",
    "order_shipped.txt",
    "order_cancelled.html",
    "order_cancelled.txt",
];

pub struct Templates(Environment<'static>);

/// A letter in words.
pub struct Written {
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Templates {
    pub fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, source) in FILES {
            environment.add_template(name, source).expect("a test writes with each template");
        }
        Self(environment)
    }

    /// # Errors
    /// For a template that is wrong, which a test of each rules out.
    pub fn write(&self, letter: &Letter, house: &House) -> Result<Written, Error> {
        let render =
            |kind: &str, values: Value| self.0.get_template(&format!("{}.{kind}", letter.template()))?.render(values);
        let values = values(letter, house);
        let text = render("txt", values.clone())?;
        let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
        let html = render("html", context! { subject, ..values })?;
        let lines = |text: &str| format!("{}\n", text.trim());
        Ok(Written { subject: subject.trim().to_owned(), text: lines(text), html: lines(&html) })
    }
}

/// What a template may ask for. No value breaks a line.
fn values(letter: &Letter, house: &House) -> Value {
    let shop = house.from.name.as_deref().unwrap_or(&house.domain);
    let house = context! { shop => one_line(shop), shop_url => house.shop_url.as_str() };
    match letter {
        Letter::Welcome { name } => context! { name => one_line(name), ..house },
        Letter::Order { event: _, name, order_id, lines, total_cents, currency } => {
            let currency = one_line(currency);
            let row = |line: &Line| {
                context! {
                    name => one_line(&line.name),
                    quantity => line.quantity,
                    unit_price => money(line.unit_price_cents, &currency),
                    total => money(line.total_cents(), &currency),
                }
            };
            context! {
                name => one_line(name),
                order_id => one_line(order_id),
                lines => lines.iter().map(row).collect::<Value>(),
                total => money(*total_cents, &currency),
                ..house
            }
        }
    }
}

/// A text without line ends and other control characters, and with single blanks.
pub fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}
