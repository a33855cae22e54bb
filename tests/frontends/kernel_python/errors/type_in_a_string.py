x: "ptr[nothing]" = NULL
