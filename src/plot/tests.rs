//! The style sheet: colours that can be told from their ground in both themes.

/// The custom properties of each block of the style sheet that sets the ground: light, dark, dark.
fn themes() -> Vec<Vec<(String, String)>> {
    let blocks = include_str!("style.css").split('{').filter(|block| block.contains("--ground:"));
    let properties = |block: &str| {
        let block = block.split('}').next().unwrap_or_default();
        let set = block.split(';').filter_map(|it| it.trim().strip_prefix("--")?.split_once(": "));
        set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    blocks.map(properties).collect()
}

/// Contrast by the formula of WCAG 2: 1 for equal colours, 21 for black on white.
fn contrast(a: &str, b: &str) -> f64 {
    let luminance = |colour: &str| {
        let channel = |at: usize| {
            let share = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if share <= 0.04045 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    };
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    a.max(b) / a.min(b)
}

#[test]
fn colours_have_contrast_enough_in_both_themes() {
    let themes = themes();
    assert_eq!(themes.len(), 3);
    assert_eq!(themes[1], themes[2], "dark by system and dark by choice are the same");
    for theme in &themes {
        let of =
            |name: &str| theme.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap();
        for series in 0..6 {
            let found = contrast(of(&format!("s{series}")), of("ground"));
            assert!(found >= 3.0, "series {series}: {found:.2}");
        }
        for (text, ground) in [
            ("text", "ground"),
            ("faint", "ground"),
            ("faint", "panel"),
            ("faint", "shade"),
            ("good", "good-ground"),
            ("bad", "bad-ground"),
            ("caution", "caution-ground"),
        ] {
            let found = contrast(of(text), of(ground));
            assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
        }
        let shades: Vec<f64> = (0..9).map(|shade| contrast(of(&format!("h{shade}")), of("ground"))).collect();
        assert!(shades.windows(2).all(|pair| pair[1] > 1.1 * pair[0]), "shades rise: {shades:.2?}");
    }
}
