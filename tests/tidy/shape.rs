//! How long files and how wide functions may be.

use std::fs;

use syn::visit::{self, Visit};
use syn::{Attribute, FnArg, ImplItemFn, ItemFn, ItemMod, Signature, TraitItemFn, Type, Visibility};

use crate::imports::is_test_only;
use crate::{all_sources, root};

/// The longest a hand-written source file may be, in lines.
const FILE_LINES_MAX: usize = 700;

#[test]
fn files_are_short_enough_to_hold() {
    for path in all_sources() {
        if path.ends_with("proto/wa.rs") {
            continue;
        }
        let lines = fs::read_to_string(&path).expect("a source file").lines().count();
        assert!(
            lines <= FILE_LINES_MAX,
            "{}: {lines} lines; what are its two halves?",
            path.display()
        );
    }
}

#[test]
fn no_public_function_takes_a_bare_yes_or_no_or_several_things_as_one() {
    let mut told = Vec::new();
    for path in all_sources() {
        let inside = path.strip_prefix(root()).expect("below the root");
        let is_of_tests = inside.iter().any(|part| part == "tests" || part == "benches");
        if is_of_tests && !inside.starts_with("tests/src") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file");
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let mut found = WideParameters::default();
        found.visit_file(&parsed);
        told.extend(
            found
                .0
                .into_iter()
                .map(|words| format!("{}: {words}", inside.display())),
        );
    }
    assert!(
        told.is_empty(),
        "an enum, a type or two functions would say more:\n{}",
        told.join("\n")
    );
}

/// Public functions with a parameter that is a `bool` or a tuple.
#[derive(Default)]
struct WideParameters(Vec<String>);

impl WideParameters {
    fn look(&mut self, attributes: &[Attribute], visibility: &Visibility, signature: &Signature) {
        if matches!(visibility, Visibility::Inherited) || attributes.iter().any(is_test_only) {
            return;
        }
        for input in &signature.inputs {
            let FnArg::Typed(parameter) = input else { continue };
            let what = match &*parameter.ty {
                Type::Path(path) if path.path.is_ident("bool") => "a bool",
                Type::Tuple(tuple) if !tuple.elems.is_empty() => "a tuple",
                _ => continue,
            };
            self.0.push(format!("{} takes {what}", signature.ident));
        }
    }
}

impl<'ast> Visit<'ast> for WideParameters {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.look(&function.attrs, &function.vis, &function.sig);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.look(&function.attrs, &function.vis, &function.sig);
    }

    /// A trait's functions are as public as the trait.
    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        let public = Visibility::Public(syn::token::Pub::default());
        self.look(&function.attrs, &public, &function.sig);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !module.attrs.iter().any(is_test_only) {
            visit::visit_item_mod(self, module);
        }
    }
}
