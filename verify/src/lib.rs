//! Histories of what a pipeline sent and delivered, and the checks that judge them.
