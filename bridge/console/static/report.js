// The button that prints the report: a browser keeps it as a PDF from there.

const button = document.getElementById("print");
if (button) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
