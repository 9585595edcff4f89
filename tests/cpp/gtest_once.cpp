// Where the precompiled header of the suites is made: GoogleTest and the standard library, nothing of ours.
