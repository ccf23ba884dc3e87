//! Random stores, made of entries and files by hand: sound ones give no finding, and each kind of damage gives its own.
