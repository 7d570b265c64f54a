//! Steps of products.

use serde_json::json;

use super::super::Step;
use super::super::model::{Effect, Expect, Model, Product};
use super::super::objects::{self, money};
use super::{Draft, done, nothing, pick, refused, refused_showing, selection, stale};

impl Model {
    /// One of few numbers; case matters.
    fn sku(&self, step: Step) -> String {
        format!("{}-{}", self.case, ["a", "A", "b", "c", "d", "e"][usize::from(step.value % 6)])
    }

    fn has_sku(&self, sku: &str, but: Option<usize>) -> bool {
        let mut others = self.products.iter().enumerate().filter(|(index, _)| Some(*index) != but);
        others.any(|(_, product)| product.sku == sku)
    }

    pub fn create_product(&self, step: Step) -> Draft {
        let currency = if step.with.is_multiple_of(5) { "USD" } else { "EUR" };
        let product = Product {
            sku: self.sku(step),
            name: format!("Product {}", step.of),
            cents: i64::from(step.with),
            currency,
            stock: i64::from(step.of % 8),
            active: !step.of.is_multiple_of(7),
            ..Product::default()
        };
        let mut input = json!({ "sku": product.sku, "name": product.name, "price": money(product.cents, currency),
            "stock": product.stock, "active": product.active });
        let mut wrong = Vec::new();
        if step.twist == 1 {
            input["price"] = json!({ "amount": "1.005", "currencyCode": currency });
            input["stock"] = json!(-1);
            wrong = vec!["price.amount INVALID".to_owned(), "stock OUT_OF_RANGE".to_owned()];
        }
        let (expect, effect) = if self.has_sku(&product.sku, None) {
            (refused(&["sku TAKEN"]), Effect::Nothing)
        } else {
            (done("product", objects::product(&product)), Effect::AddProduct(product))
        };
        Draft { name: "createProduct", input, selection: selection("createProduct"), wrong, expect, effect }
    }

    pub fn update_product(&self, step: Step) -> Option<Draft> {
        let index = pick(&self.products, step.of)?;
        let before = &self.products[index];
        let mut product = before.clone();
        let mut input = json!({ "id": product.id });
        if step.with.is_multiple_of(2) {
            product.cents = i64::from(step.value) * 10;
            input["price"] = money(product.cents, product.currency);
        }
        if step.with.is_multiple_of(3) {
            product.sku = self.sku(step);
            input["sku"] = json!(product.sku);
        }
        if step.with.is_multiple_of(5) {
            product.active = !product.active;
            input["active"] = json!(product.active);
        }
        let mut expect = done("product", objects::product(&product));
        let mut effect = Effect::SetProduct(index, product.clone());
        if self.has_sku(&product.sku, Some(index)) {
            (expect, effect) = (refused(&["sku TAKEN"]), Effect::Nothing);
        }
        match step.twist {
            3 => {
                input["id"] = json!(nothing("Product", step));
                (expect, effect) = (Expect::Error("NOT_FOUND"), Effect::Nothing);
            }
            4 => {
                input["updatedAt"] = stale();
                let shown = refused_showing("updatedAt CONFLICT", "product", objects::product(before));
                (expect, effect) = (shown, Effect::Nothing);
            }
            _ => {}
        }
        let selection = selection("updateProduct");
        Some(Draft { name: "updateProduct", input, selection, wrong: Vec::new(), expect, effect })
    }

    pub fn adjust_stock(&self, step: Step) -> Option<Draft> {
        let index = pick(&self.products, step.of)?;
        let before = &self.products[index];
        let delta = i64::from(step.value % 16) - 7;
        let product = Product { stock: before.stock + delta, ..before.clone() };
        let (expect, effect) = if product.stock < 0 {
            (refused_showing("delta OUT_OF_STOCK", "product", objects::product(before)), Effect::Nothing)
        } else {
            (done("product", objects::product(&product)), Effect::SetProduct(index, product))
        };
        let input = json!({ "id": before.id, "delta": delta });
        Some(Draft {
            name: "adjustStock",
            input,
            selection: selection("adjustStock"),
            wrong: Vec::new(),
            expect,
            effect,
        })
    }
}
