// What is said around a class.
export function talk() {}
