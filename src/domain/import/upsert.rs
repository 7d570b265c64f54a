//! What the lines of a file do to products.

use std::collections::HashMap;
use std::convert::Infallible;

use entity::job;
use entity::product::{self, Column};
use serde::{Deserialize, Serialize};

use super::products::{BadLine, Batch, Line};
use crate::data::Error;
use crate::data::write::{Locked, Refused, Set, Transaction, Work};
use crate::domain::job::works::Attempt;

/// Most bad lines that a report names.
const NAMED: usize = 100;

/// What became of the lines of a file so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Report {
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    pub bad: u64,
    /// The first of them.
    pub bad_lines: Vec<BadLine>,
}

/// Writes some lines of a file for the job that imports it, and how far that has come: so each line is written, and
/// reported, once, however often the job is begun.
#[derive(Debug, Serialize)]
pub struct WriteProducts {
    pub attempt: Attempt,
    pub batch: Batch,
    /// How many lines the file has.
    pub total: i64,
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Written {
    /// The lines are written; the report as it is now, as JSON.
    Done(String),
    /// Nothing is: somebody wants the job to end.
    Cancelled,
    /// Nothing is: somebody else runs the job by now.
    Lost,
}

impl Work for WriteProducts {
    type Output = Written;
    type Refusal = Infallible;
    const NAME: &'static str = "writeProducts";

    async fn run(&self, transaction: &mut Transaction) -> Result<Written, Refused<Infallible>> {
        let job = transaction.find::<job::Model>(vec![self.attempt.job]).await?.remove(&self.attempt.job);
        let Some(job) = job.filter(|job| self.is_next(job)) else { return Ok(Written::Lost) };
        if job.cancel_requested {
            return Ok(Written::Cancelled);
        }
        let mut report = job.report.as_deref().map(serde_json::from_str::<Report>).transpose();
        let report = report.as_mut().map_err(|error| Error::unwritable(error))?.get_or_insert_default();
        write(transaction, &self.batch.good, report).await?;
        report.bad += self.batch.bad.len() as u64;
        let room = NAMED.saturating_sub(report.bad_lines.len());
        report.bad_lines.extend(self.batch.bad.iter().take(room).cloned());
        let text = serde_json::to_string(report).map_err(|error| Error::unwritable(&error))?;
        let columns = job::ActiveModel {
            progress: Set(self.batch.after + self.batch.lines()),
            progress_total: Set(Some(self.total)),
            report: Set(Some(text.clone())),
            ..Default::default()
        };
        // Last, for products may have to be waited for, and the lease be extended meanwhile. Whoever takes the job over
        // waits from here on; if somebody has, nothing of this stays, and the next run says so.
        let job = transaction.lock::<job::Model>(self.attempt.job).await?.filter(|job| self.is_next(job));
        transaction.update(job.ok_or_else(Error::contention)?, columns).await?;
        Ok(Written::Done(text))
    }
}

impl WriteProducts {
    /// Whether the attempt still is what runs, and has come so far.
    fn is_next(&self, job: &job::Model) -> bool {
        self.attempt.holds(job) && job.progress == self.batch.after
    }
}

/// Makes products what lines of different skus say of them.
async fn write(transaction: &mut Transaction, lines: &[Line], report: &mut Report) -> Result<(), Error> {
    if lines.is_empty() {
        return Ok(());
    }
    let skus = lines.iter().map(|line| line.sku.clone().into()).collect();
    let found = transaction.lock_by::<product::Row>(Column::Sku, skus).await?;
    let keys: Vec<_> = found.iter().map(|product| product.id).collect();
    // They are read for nothing else.
    let descriptions: HashMap<i64, String> = match lines.iter().any(|line| line.description.is_some()) {
        true => transaction.column::<product::Row, _>(Column::Description, keys).await?,
        false => HashMap::new(),
    };
    let mut found: HashMap<String, Locked<product::Row>> =
        found.into_iter().map(|product| (product.sku.clone(), product)).collect();
    let (mut new, mut changed) = (Vec::new(), Vec::new());
    for line in lines {
        match found.remove(line.sku.as_ref()) {
            None => new.push(line.whole()),
            Some(product) if line.says(&product, descriptions.get(&product.id)) => report.unchanged += 1,
            Some(product) => changed.push((product, line.columns())),
        }
    }
    report.created += new.len() as u64;
    report.updated += changed.len() as u64;
    transaction.update_each::<product::Row>(changed).await?;
    if !new.is_empty() {
        transaction.insert_all::<product::Row>(new).await.map_err(|error| match error {
            // Somebody else has added one of them meanwhile: in the next run it is found.
            Error::Taken(index) if index == "products_sku" => Error::contention(),
            error => error,
        })?;
    }
    Ok(())
}

impl Line {
    /// Whether a product is already what the line says.
    fn says(&self, product: &product::Row, description: Option<&String>) -> bool {
        self.name.as_ref() == product.name
            && self.price.cents == product.price_cents
            && self.price.currency.as_ref() == product.currency
            && self.stock.is_none_or(|stock| stock == product.stock)
            && self.active.is_none_or(|active| active == product.active)
            && self.description.as_ref().is_none_or(|text| description.is_some_and(|known| known == text.as_ref()))
    }

    /// The columns of a product that is there.
    fn columns(&self) -> product::ActiveModel {
        product::ActiveModel {
            name: Set(self.name.clone().into()),
            description: self.description.clone().map(String::from).map(Set).unwrap_or_default(),
            price_cents: Set(self.price.cents),
            currency: Set(self.price.currency.clone().into()),
            stock: self.stock.map(Set).unwrap_or_default(),
            active: self.active.map(Set).unwrap_or_default(),
            ..Default::default()
        }
    }

    /// The columns of a product that is new.
    fn whole(&self) -> product::ActiveModel {
        product::ActiveModel {
            sku: Set(self.sku.clone().into()),
            description: Set(self.description.clone().map(String::from).unwrap_or_default()),
            stock: Set(self.stock.unwrap_or_default()),
            active: Set(self.active.unwrap_or(true)),
            ..self.columns()
        }
    }
}
