//! The functions of the AWS half, each over ports alone (domain/src/workflow/functions.rs).
