must_reach()
