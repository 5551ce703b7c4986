"""F5: reads run folders and draws. Imports the ground floor only, so it cannot start work."""
