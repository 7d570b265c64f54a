//! What a source names: every path of its items, expressions, types, attributes and macros, from the root of its crate.

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The paths that `source`, the text of `module`, names. Those of the crate itself begin with `crate`.
///
/// A macro's arguments and its body are read as tokens: what looks like a path there counts as one.
///
/// # Panics
/// For a source that does not parse.
pub fn named(module: &[String], source: &str) -> Vec<Vec<String>> {
    let file = syn::parse_file(source).unwrap_or_else(|error| panic!("{}: {error}", module.join("::")));
    let mut reader = Reader { module: module.to_vec(), found: Vec::new() };
    reader.visit_file(&file);
    reader.found
}

/// The attributes that a source uses, by name.
pub fn attributes(source: &str) -> Vec<String> {
    struct Attributes(Vec<String>);
    impl Visit<'_> for Attributes {
        fn visit_attribute(&mut self, attribute: &syn::Attribute) {
            self.0.extend(attribute.path().segments.last().map(|segment| segment.ident.to_string()));
        }
    }
    let mut attributes = Attributes(Vec::new());
    attributes.visit_file(&syn::parse_file(source).unwrap());
    attributes.0
}

struct Reader {
    /// The module that is being read, from the root of its crate.
    module: Vec<String>,
    found: Vec<Vec<String>>,
}

impl Reader {
    /// Notes a path in code. One name alone is not of another part: a `use` has brought it, or it is a variable.
    fn note_in_code(&mut self, written: Vec<String>) {
        if written.len() > 1 {
            self.note(written);
        }
    }

    /// Notes a path as it is written.
    fn note(&mut self, written: Vec<String>) {
        let mut path = written.into_iter().peekable();
        let mut base = match path.peek().map(String::as_str) {
            // The binary sees the library as a crate.
            Some("crate" | "shoal") => {
                path.next();
                Vec::new()
            }
            Some("self") => {
                path.next();
                self.module.clone()
            }
            Some("super") => self.module.clone(),
            _ => {
                self.found.push(path.collect());
                return;
            }
        };
        while path.next_if(|segment| segment == "super").is_some() {
            base.pop();
        }
        self.found.push(std::iter::once("crate".to_owned()).chain(base).chain(path).collect());
    }

    fn read_use(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.read_use(&with(&path.ident), &path.tree),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.read_use(before, tree)),
            syn::UseTree::Name(name) if name.ident == "self" => self.note(before.to_vec()),
            syn::UseTree::Name(name) => self.note(with(&name.ident)),
            syn::UseTree::Rename(rename) if rename.ident == "self" => self.note(before.to_vec()),
            syn::UseTree::Rename(rename) => self.note(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.note([before, &["*".to_owned()]].concat()),
        }
    }

    /// Notes what looks like a path: names joined by `::`.
    fn read_tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.note_in_code(std::mem::take(&mut path));
                    }
                    path.push(name.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => {
                    // `a::{b, c}` can stand in a macro too.
                    if colons == 2 {
                        let inner: TokenStream = group.stream();
                        for part in split_at_commas(inner) {
                            let mut whole = path.clone();
                            whole.extend(part);
                            self.note(whole);
                        }
                    }
                    self.read_tokens(group.stream());
                }
                _ => {}
            }
            self.note_in_code(std::mem::take(&mut path));
            colons = 0;
        }
        self.note_in_code(path);
    }
}

fn split_at_commas(tokens: TokenStream) -> Vec<Vec<String>> {
    let mut parts = vec![Vec::new()];
    for token in tokens {
        match token {
            TokenTree::Ident(name) => parts.last_mut().expect("never empty").push(name.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == ',' => parts.push(Vec::new()),
            _ => {}
        }
    }
    parts
}

impl Visit<'_> for Reader {
    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.read_use(&[], &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &syn::ItemExternCrate) {
        self.note(vec![item.ident.to_string()]);
    }

    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &syn::Path) {
        self.note_in_code(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &syn::Macro) {
        self.read_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_attribute(&mut self, attribute: &syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.read_tokens(list.tokens.clone());
        }
        visit::visit_attribute(self, attribute);
    }

    // `pub(crate)` names nothing.
    fn visit_vis_restricted(&mut self, _: &syn::VisRestricted) {}
}
