//! What breaks: people who belong together are taken for different ones, or somebody is lost.

use super::*;
use datafusion::arrow::array::{Int64Array, StringViewArray};
use datafusion::arrow::datatypes::Int64Type;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use std::collections::BTreeMap;

type Link = (Option<String>, Option<String>);

/// Texts that fit into a view and texts that do not, of which many begin alike.
fn text() -> impl Strategy<Value = Option<String>> {
    let few = (0..30u32, any::<bool>()).prop_map(|(number, is_long)| {
        Some(if is_long { format!("a_device_of_somebody_{number}") } else { format!("u{number}") })
    });
    prop_oneof![6 => few, 1 => Just(None), 1 => Just(Some(String::new()))]
}

/// The links of some partitions, each in some batches.
fn partitions() -> impl Strategy<Value = Vec<Vec<Vec<Link>>>> {
    let batches = prop::collection::vec(prop::collection::vec((text(), text()), 0..40), 0..4);
    prop::collection::vec(batches, 1..5)
}

/// The smallest value that each value can be walked to, by walking until nothing changes.
fn slow_components(links: &[Link]) -> BTreeMap<String, String> {
    let named = links.iter().flat_map(|(a, b)| [a, b]).flatten();
    let mut component: BTreeMap<_, _> = named.map(|name| (name.clone(), name.clone())).collect();
    loop {
        let before = component.clone();
        for (a, b) in links {
            let (Some(a), Some(b)) = (a, b) else { continue };
            let smallest = component[a].clone().min(component[b].clone());
            component.insert(a.clone(), smallest.clone());
            component.insert(b.clone(), smallest);
        }
        if component == before {
            return component;
        }
    }
}

/// The answer of partitions that hand on their states, each of which is computed as `column` says.
fn answer(
    partitions: &[Vec<Vec<Link>>],
    value_type: &DataType,
    column: impl Fn(Vec<Option<&String>>) -> ArrayRef,
) -> StructArray {
    let mut last = Components::new(value_type).unwrap();
    for batches in partitions {
        let mut partial = Components::new(value_type).unwrap();
        for batch in batches {
            let sides = [
                column(batch.iter().map(|(a, _)| a.as_ref()).collect()),
                column(batch.iter().map(|(_, b)| b.as_ref()).collect()),
            ];
            partial.update_batch(&sides).unwrap();
        }
        let state = partial.state().unwrap().remove(0).to_array().unwrap();
        last.merge_batch(&[state]).unwrap();
    }
    let answer = last.evaluate().unwrap();
    assert_eq!(answer, last.evaluate().unwrap(), "asked a second time");
    let ScalarValue::List(list) = answer else { panic!("{answer}") };
    list.value(0).as_struct().clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn texts_have_the_components_of_a_slow_model(partitions in partitions()) {
        let texts = |side: Vec<Option<&String>>| -> ArrayRef {
            Arc::new(side.into_iter().collect::<StringViewArray>())
        };
        let pairs = answer(&partitions, &DataType::Utf8View, texts);
        let [ids, components] = [0, 1].map(|side| pairs.column(side).as_string_view());
        let found: Vec<_> = ids.iter().flatten().zip(components.iter().flatten()).collect();
        let wanted = slow_components(&partitions.concat().concat());
        let wanted: Vec<_> = wanted.iter().map(|(id, of)| (id.as_str(), of.as_str())).collect();
        let mut sorted = found.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, wanted);
    }

    // The numbers keep the order of the texts, so the answer is that of the texts.
    #[test]
    fn numbers_have_the_components_of_a_slow_model(partitions in partitions()) {
        let links = partitions.concat().concat();
        let wanted = slow_components(&links);
        // From below zero on, where the order of the bytes is not that of the numbers.
        let place = |text: &str| wanted.keys().position(|key| key == text).map(|at| at as i64 - 7);
        let numbers = |side: Vec<Option<&String>>| -> ArrayRef {
            let side = side.into_iter().map(|text| text.and_then(|text| place(text)));
            Arc::new(side.collect::<Int64Array>())
        };
        let pairs = answer(&partitions, &DataType::Int64, numbers);
        let [ids, components] = [0, 1].map(|side| pairs.column(side).as_primitive::<Int64Type>());
        let mut found: Vec<_> = ids.values().iter().zip(components.values()).collect();
        found.sort_unstable();
        let wanted: Vec<_> = wanted.iter().map(|(id, of)| (place(id), place(of))).collect();
        let wanted: Vec<_> = wanted.iter().map(|(id, of)| (id.as_ref(), of.as_ref())).collect();
        let found: Vec<_> = found.into_iter().map(|(id, of)| (Some(id), Some(of))).collect();
        assert_eq!(found, wanted);
    }
}
