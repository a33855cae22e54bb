if nothing:
    must_reach("x")
