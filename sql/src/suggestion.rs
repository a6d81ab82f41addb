//! What a person probably meant when a name is not known.

/// The known name nearest to `name`, when it is near enough to be a slip of the finger.
///
/// Letters may be swapped, missing, added or wrong: one for every three letters of the name.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let slips_max = (wanted.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate)
        })
        .filter(|(slips, _)| *slips <= slips_max)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapped_letters_are_recognised() {
        assert_eq!(nearest("vpi", ["lapsed", "vip"]), Some("vip"));
    }

    #[test]
    fn a_far_name_is_not_suggested() {
        assert_eq!(nearest("vip", ["lapsed", "churned"]), None);
    }

    #[test]
    fn equal_distances_answer_the_first_by_name() {
        assert_eq!(nearest("vix", ["viz", "via"]), Some("via"));
    }
}
