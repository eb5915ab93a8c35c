<?php
// For PHP's built-in server: a file of the document root as it is, no dot files, everything else to index.php.
$path = rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?? '/');
$file = realpath($_SERVER['DOCUMENT_ROOT'] . $path);
$inside = $file !== false && str_starts_with($file, $_SERVER['DOCUMENT_ROOT'] . '/');
if (preg_match('#/\.(?!well-known/)#', $path)) {
    http_response_code(404);
    return true;
}
if ($inside && (is_file($file) || is_file("$file/index.php") || is_file("$file/index.html"))) {
    return false;
}
$_SERVER['SCRIPT_NAME'] = '/index.php';
$_SERVER['SCRIPT_FILENAME'] = $_SERVER['DOCUMENT_ROOT'] . '/index.php';
require $_SERVER['SCRIPT_FILENAME'];
