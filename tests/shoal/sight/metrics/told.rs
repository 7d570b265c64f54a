//! What metrics can tell: their labels that say why, or how it went, with all the values that these have.

use std::collections::BTreeMap;
use std::path::Path;

use syn::visit::{self, Visit};

/// Labels whose values are few words, each of which is told for a reason of its own.
const WORDS: [&str; 4] = ["reason", "outcome", "operation", "direction"];

/// A metric, a label, a value.
pub type Reason = (String, String, String);

/// All tests but those that ask whether there are tests.
pub fn tests() -> String {
    files().concat()
}

/// The same, file by file.
pub fn files() -> Vec<String> {
    let mut found = Vec::new();
    read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/shoal").as_path(), &mut |path, text| {
        if !path.ends_with("sight/metrics.rs") && !path.ends_with("deploy/metrics.rs") {
            let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.push(lines.map(|line| format!("{line}\n")).collect());
        }
    });
    found
}

fn read(directory: &Path, keep: &mut dyn FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, keep);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            keep(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// What a server has counted, often as zero, since it began.
pub fn at_start(metrics: &str) -> Vec<Reason> {
    let series = metrics.lines().filter(|line| line.starts_with("shoal_"));
    let pairs = series.filter_map(|line| line.split_once('{')?.1.split_once('}').map(|(labels, _)| (line, labels)));
    let reasons = pairs.flat_map(|(line, labels)| {
        labels.split(',').filter_map(move |pair| {
            let (label, value) = pair.split_once('=')?;
            let name = line.split('{').next()?.to_owned();
            WORDS.contains(&label).then(|| (name, label.to_owned(), value.trim_matches('"').to_owned()))
        })
    });
    // Operations of clients are no reasons.
    reasons.filter(|(name, ..)| !name.starts_with("shoal_sql_")).collect()
}

/// What the sources say where they count it: words, or a name that stands for one of several.
pub fn in_sources() -> Vec<Reason> {
    let mut found = Vec::new();
    read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(), &mut |path, text| {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Functions(&mut found).visit_file(&file);
    });
    found
}

struct Functions<'a>(&'a mut Vec<Reason>);

/// A function: what it counts, and which words its names stand for.
#[derive(Default)]
struct Body {
    counted: Vec<String>,
    names: BTreeMap<String, Vec<String>>,
}

/// Words that an expression may come to.
#[derive(Default)]
struct Words(Vec<String>);

impl Functions<'_> {
    fn read(&mut self, block: &syn::Block) {
        let mut body = Body::default();
        body.visit_block(block);
        for tokens in &body.counted {
            let mut parts = tokens.split(" , ");
            let Some(name) = parts.next().map(|name| name.trim_matches('"').to_owned()) else { continue };
            let labels = parts.filter_map(|part| part.split_once("=>"));
            for (label, value) in labels {
                let (label, value) = (label.trim().trim_matches('"'), value.trim().trim_end_matches(',').trim());
                if !WORDS.contains(&label) || !name.starts_with("shoal_") || name.starts_with("shoal_sql_") {
                    continue;
                }
                let literals: Vec<_> = value.split('"').skip(1).step_by(2).map(str::to_owned).collect();
                let words =
                    if literals.is_empty() { body.names.get(value).cloned().unwrap_or_default() } else { literals };
                self.0.extend(words.into_iter().map(|word| (name.clone(), label.to_owned(), word)));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.read(&function.block);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.read(&function.block);
    }
}

impl<'ast> Visit<'ast> for Body {
    fn visit_local(&mut self, local: &'ast syn::Local) {
        if let (syn::Pat::Ident(name), Some(init)) = (&local.pat, &local.init) {
            let mut words = Words::default();
            words.visit_expr(&init.expr);
            self.names.entry(name.ident.to_string()).or_default().extend(words.0);
        }
        visit::visit_local(self, local);
    }

    fn visit_macro(&mut self, found: &'ast syn::Macro) {
        let kind = found.path.segments.last().map(|segment| segment.ident.to_string());
        if kind.is_some_and(|kind| ["counter", "gauge", "histogram"].contains(&kind.as_str())) {
            self.counted.push(found.tokens.to_string());
        }
    }
}

impl<'ast> Visit<'ast> for Words {
    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.visit_expr(&arm.body);
    }

    fn visit_expr_if(&mut self, choice: &'ast syn::ExprIf) {
        self.visit_block(&choice.then_branch);
        choice.else_branch.iter().for_each(|(_, other)| self.visit_expr(other));
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        // What a block comes to is its last expression.
        if let Some(syn::Stmt::Expr(last, None)) = block.stmts.last() {
            self.visit_expr(last);
        }
    }

    fn visit_lit_str(&mut self, word: &'ast syn::LitStr) {
        self.0.push(word.value());
    }

    fn visit_expr_match(&mut self, choice: &'ast syn::ExprMatch) {
        choice.arms.iter().for_each(|arm| self.visit_arm(arm));
    }
}
