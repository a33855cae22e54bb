printf("hello")
