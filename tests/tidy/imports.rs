//! Which file of a crate uses names of which other file, read from the sources.
//!
//! A name counts at the file that defines it: re-exports, globs and renamed imports are followed. Test modules are left
//! out. Methods are not seen: a call names a value, not a file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree, Visibility};

/// Files by their path below the crate's `src`, each with the files it uses and the names it takes from there.
pub(crate) type Imports = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

/// A module's path from the crate's root; the root is empty.
type ModulePath = Vec<String>;

/// One module: a file, or a part of one between braces.
#[derive(Default)]
struct Module {
    file: PathBuf,
    defined: BTreeSet<String>,
    imported: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    /// Calls macros that may define items.
    is_made_by_macros: bool,
    used: BTreeSet<Vec<String>>,
}

/// Reads the crate whose root is `src/lib.rs`, or `src/main.rs` where there is none.
pub(crate) fn of_crate(src: &Path) -> Imports {
    let mut modules = BTreeMap::new();
    for root in ["lib.rs", "main.rs"] {
        if src.join(root).is_file() {
            read_file(src, Path::new(root), &[], &mut modules);
            break;
        }
    }
    let mut imports = Imports::new();
    for (at, module) in &modules {
        let own = imports.entry(module.file.clone()).or_default();
        for path in &module.used {
            if let Some((file, name)) = resolve(&modules, at, path, RESOLVE_DEPTH_MAX)
                && file != module.file
            {
                own.entry(file).or_default().insert(name);
            }
        }
    }
    imports
}

fn read_file(src: &Path, file: &Path, at: &[String], modules: &mut BTreeMap<ModulePath, Module>) {
    let text = fs::read_to_string(src.join(file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    if !parsed.attrs.iter().any(is_test_only) {
        read_module(src, file, at, &parsed.items, modules);
    }
}

fn read_module(
    src: &Path,
    file: &Path,
    at: &[String],
    items: &[Item],
    modules: &mut BTreeMap<ModulePath, Module>,
) {
    let mut module = Module {
        file: file.to_owned(),
        ..Module::default()
    };
    for item in items {
        if attributes(item).iter().any(is_test_only) {
            continue;
        }
        if let Some(name) = defined_name(item) {
            module.defined.insert(name);
        }
        match item {
            Item::Use(item) => take_use(&item.tree, &mut Vec::new(), &mut module, &item.vis),
            Item::Mod(item) => {
                let child: ModulePath = at.iter().cloned().chain([item.ident.to_string()]).collect();
                match &item.content {
                    Some((_, items)) => read_module(src, file, &child, items, modules),
                    None => read_file(src, &file_of(src, file, &child), &child, modules),
                }
            }
            Item::Macro(call) if call.ident.is_none() => {
                module.is_made_by_macros = true;
                Paths(&mut module.used).visit_item(item);
            }
            other => Paths(&mut module.used).visit_item(other),
        }
    }
    modules.insert(at.to_vec(), module);
}

/// `a/b.rs` or `a/b/mod.rs`; the modules of a root lie beside it.
fn file_of(src: &Path, parent: &Path, module: &[String]) -> PathBuf {
    let below: PathBuf = module.iter().collect();
    let candidates = [below.with_extension("rs"), below.join("mod.rs")];
    let found = candidates.into_iter().find(|file| src.join(file).is_file());
    found.unwrap_or_else(|| panic!("{}: no file for module {}", parent.display(), module.join("::")))
}

fn take_use(tree: &UseTree, path: &mut Vec<String>, module: &mut Module, visibility: &Visibility) {
    match tree {
        UseTree::Path(step) => {
            path.push(step.ident.to_string());
            take_use(&step.tree, path, module, visibility);
            path.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                take_use(tree, path, module, visibility);
            }
        }
        UseTree::Glob(_) => module.globs.push(path.clone()),
        UseTree::Name(name) if name.ident == "self" => {
            let last = path.last().cloned().unwrap_or_default();
            import(module, last, path.clone(), visibility);
        }
        UseTree::Name(name) => {
            let full = path.iter().cloned().chain([name.ident.to_string()]).collect();
            import(module, name.ident.to_string(), full, visibility);
        }
        UseTree::Rename(rename) => {
            let full = path.iter().cloned().chain([rename.ident.to_string()]).collect();
            import(module, rename.rename.to_string(), full, visibility);
        }
    }
}

/// What is passed on to others is theirs to use; the file that passes it on need not use it.
fn import(module: &mut Module, alias: String, path: Vec<String>, visibility: &Visibility) {
    if matches!(visibility, Visibility::Inherited) {
        module.used.insert(path.clone());
    }
    module.imported.insert(alias, path);
}

/// The file that defines what `path` names as seen from the module `at`, and the name; `None` if it is not of this crate.
fn resolve(
    modules: &BTreeMap<ModulePath, Module>,
    at: &[String],
    path: &[String],
    depth: usize,
) -> Option<(PathBuf, String)> {
    let depth = depth.checked_sub(1)?;
    let (mut here, mut rest) = start(modules, at, path, depth)?;
    loop {
        let module = modules.get(&here)?;
        let (name, behind) = match rest.split_first() {
            None => return None,
            Some((name, behind)) => (name.clone(), behind.to_vec()),
        };
        let child: ModulePath = here.iter().cloned().chain([name.clone()]).collect();
        if modules.contains_key(&child) {
            (here, rest) = (child, behind);
            continue;
        }
        if module.defined.contains(&name) {
            return Some((module.file.clone(), name));
        }
        if let Some(target) = module.imported.get(&name) {
            let full: Vec<String> = target.iter().cloned().chain(behind).collect();
            return resolve(modules, &here, &full, depth);
        }
        let through_glob = |glob: &Vec<String>| {
            let full: Vec<String> = glob
                .iter()
                .cloned()
                .chain([name.clone()])
                .chain(behind.clone())
                .collect();
            resolve(modules, &here, &full, depth)
        };
        // What is not written down and comes from nowhere else, a macro has made.
        let made = || {
            module
                .is_made_by_macros
                .then(|| (module.file.clone(), name.clone()))
        };
        return module.globs.iter().find_map(through_glob).or_else(made);
    }
}

/// The module that a path starts from, and what is left of the path.
fn start(
    modules: &BTreeMap<ModulePath, Module>,
    at: &[String],
    path: &[String],
    depth: usize,
) -> Option<(ModulePath, Vec<String>)> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => return Some((Vec::new(), rest.to_vec())),
        "self" => return Some((at.to_vec(), rest.to_vec())),
        "super" => {
            let mut here = at.to_vec();
            here.pop();
            let supers = rest.iter().take_while(|step| *step == "super").count();
            here.truncate(here.len().saturating_sub(supers));
            return Some((here, rest[supers..].to_vec()));
        }
        _ => {}
    }
    let module = modules.get(at)?;
    let child: ModulePath = at.iter().cloned().chain([first.clone()]).collect();
    if modules.contains_key(&child) || module.defined.contains(first) {
        return Some((at.to_vec(), path.to_vec()));
    }
    if let Some(target) = module.imported.get(first) {
        if target.first() == Some(first) {
            // An import of another crate under its own name.
            return None;
        }
        let full: Vec<String> = target.iter().chain(rest).cloned().collect();
        return start(modules, at, &full, depth.checked_sub(1)?);
    }
    None
}

pub(crate) fn is_test_only(attribute: &Attribute) -> bool {
    if !attribute.path().is_ident("cfg") {
        return false;
    }
    let text = attribute
        .meta
        .require_list()
        .map(|list| list.tokens.to_string())
        .unwrap_or_default();
    text.split(|c: char| !c.is_alphanumeric())
        .any(|word| word == "test")
        && !text.starts_with("not")
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn defined_name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(name.to_string())
}

/// Collects the paths of expressions, types, patterns and macro calls.
struct Paths<'a>(&'a mut BTreeSet<Vec<String>>);

impl Paths<'_> {
    /// Takes what looks like a path in tokens that only a macro can read.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.take(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.take(&mut path);
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.scan(group.stream());
                    }
                }
            }
        }
        self.take(&mut path);
    }

    fn take(&mut self, path: &mut Vec<String>) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.0.insert(path);
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            self.0.insert(
                path.segments
                    .iter()
                    .map(|segment| segment.ident.to_string())
                    .collect(),
            );
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.scan(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    /// Derives and attribute macros name handlers and types too.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.scan(list.tokens.clone());
        }
    }

    fn visit_item_use(&mut self, _: &'ast syn::ItemUse) {}
}

/// How many re-exports may lie behind each other.
const RESOLVE_DEPTH_MAX: usize = 16;
