//! What the deployment calls its parts.
