must_reach(5)
