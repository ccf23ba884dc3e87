//! `Signer` on KMS.
