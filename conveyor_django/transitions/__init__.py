def provide_verbs(): pass
