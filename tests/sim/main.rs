//! The user's side of the simulated network: faults one by one over production reactors.
